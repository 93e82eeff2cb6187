//! Lists as files and rows.

use hickory_proto::rr::RecordType;
use inventory::{FilterId, Level, ListAction, NewList, UnixMillis, YouTube};

use super::super::rules::{Reason, Ruling, Then};
use super::*;
use crate::clients::Client;

const BY: By<'_> = By { actor: "test", at: UnixMillis(1) };

struct Stage {
    dir: tempfile::TempDir,
    inventory: Inventory,
    book: Book,
    list: ListId,
    filter: FilterId,
}

async fn stage() -> Stage {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("i.db").display());
    let inventory = Inventory::open(&url).await.unwrap();
    let (list, filter) = (ListId::random(), FilterId::random());
    let new = NewList { name: "Werbung", source: Some("https://lists.example/ads"), names: "" };
    inventory.put_name_list(BY, list, &new).await.unwrap();
    let lists = vec![(list, ListAction::Block)];
    let youtube = YouTube::Free;
    let row = Filter { id: filter, name: "Schule".into(), safe_search: false, youtube, lists };
    inventory.put_filter(BY, &row).await.unwrap();
    let book = Book::new(inventory.clone(), dir.path().to_owned());
    Stage { dir, inventory, book, list, filter }
}

impl Stage {
    fn bring(&self, text: &str) {
        fs::write(self.dir.path().join(format!("{}.new", self.list)), text).unwrap();
    }

    async fn row(&self) -> (u64, Option<String>) {
        let (lists, _) = self.inventory.name_lists().await.unwrap();
        let row = lists.into_iter().find(|list| list.id == self.list).unwrap();
        (row.entries, row.problem)
    }

    fn blocks(&self, rules: &Rules, name: &[u8]) -> bool {
        let who = Client { number: 1, level: Level::Filtered, filter: Some(self.filter), list: None };
        rules.rule(Some(who), name, RecordType::A) == Ruling::NoName(Reason::List("Werbung"))
    }
}

const ADS: &[u8] = b"\x03www\x03ads\x07example\x00";

#[tokio::test]
async fn a_list_is_taken_in_when_it_is_whole_and_kept_when_the_next_one_is_not() {
    let mut stage = stage().await;
    let rules = stage.book.make().await.unwrap();
    assert!(!stage.blocks(&rules, ADS));
    assert_eq!(stage.row().await, (0, Some(NOT_THERE.to_owned())));
    assert_eq!(stage.inventory.notices().await.unwrap()[0].place, "lists/Werbung");

    let mut text: String = (0..9).map(|n| format!("n{n}.example\n")).collect();
    text += "ads.example\n";
    stage.bring(&text);
    assert!(stage.book.is_concerned().await.unwrap());
    let rules = stage.book.make().await.unwrap();
    assert!(stage.blocks(&rules, ADS));
    assert_eq!(stage.row().await, (10, None));
    assert!(stage.inventory.notices().await.unwrap().is_empty());
    assert!(!stage.book.is_concerned().await.unwrap(), "what this daemon noted itself is no news");

    for (bad, why) in [
        ("<html>\n<body>Not found</body>\n", "no names"),
        ("", "no names"),
        ("a.example\nb c\nd e\n", "line 2"),
        ("ads.example\nn1.example\n", "2 names where the one before has 10"),
    ] {
        stage.bring(bad);
        let rules = stage.book.make().await.unwrap();
        assert!(stage.blocks(&rules, ADS), "{bad}");
        let (entries, problem) = stage.row().await;
        assert!(entries == 10 && problem.clone().unwrap().contains(why), "{problem:?}");
        // The problem stays while nothing better comes.
        drop(stage.book.make().await.unwrap());
        assert_eq!(stage.row().await.1, problem);
    }
    stage.bring(&text.replace("ads", "other"));
    let rules = stage.book.make().await.unwrap();
    assert!(!stage.blocks(&rules, ADS));
    assert_eq!(stage.row().await, (10, None));
}

#[tokio::test]
async fn a_change_elsewhere_does_not_make_a_million_names_be_read_again() {
    let mut stage = stage().await;
    stage.bring("ads.example\n");
    let first = stage.book.make().await.unwrap();
    let (own, new) = (ListId::random(), NewList { name: "Mathe", source: None, names: "geogebra.example" });
    stage.inventory.put_name_list(BY, own, &new).await.unwrap();
    let second = stage.book.make().await.unwrap();
    assert!(Arc::ptr_eq(&first.names(), &second.names()) && stage.blocks(&second, ADS));
    assert_eq!(stage.row().await, (1, None));
    let who = Client { number: 1, level: Level::AllowList, filter: None, list: Some(own) };
    let allowed = second.rule(Some(who), b"\x08geogebra\x07example\x00", RecordType::A);
    assert_eq!(allowed, Ruling::Ask(Then::Open));
    // A new version of the list itself does.
    stage.bring("other.example\n");
    let third = stage.book.make().await.unwrap();
    assert!(!Arc::ptr_eq(&first.names(), &third.names()) && !stage.blocks(&third, ADS));
    // So does a filter that uses another list.
    let lists = vec![(own, ListAction::Block), (stage.list, ListAction::Block)];
    let youtube = YouTube::Free;
    let row = Filter { id: stage.filter, name: "Schule".into(), safe_search: false, youtube, lists };
    stage.inventory.put_filter(BY, &row).await.unwrap();
    let fourth = stage.book.make().await.unwrap();
    assert!(!Arc::ptr_eq(&third.names(), &fourth.names()));
}

#[tokio::test]
async fn a_bad_line_of_an_own_list_is_named_and_the_rest_counts() {
    let mut stage = stage().await;
    let own = ListId::random();
    let names = "good.example\nno name at all\n*.also.example\n";
    stage.inventory.put_name_list(BY, own, &NewList { name: "eigene", source: None, names }).await.unwrap();
    drop(stage.book.make().await.unwrap());
    let (lists, _) = stage.inventory.name_lists().await.unwrap();
    let row = lists.iter().find(|list| list.id == own).unwrap();
    assert_eq!(row.entries, 2);
    assert!(row.problem.as_deref().unwrap().starts_with("line 2 (\"no name at all\")"), "{row:?}");
}
