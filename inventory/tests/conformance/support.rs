//! What a support bundle asks.

use inventory::By;
use inventory::support::Personal;

use super::{BY, Open, approved};

pub(super) async fn a_support_bundle_learns_the_shape_and_whose_words_are_in_it(open: Open) {
    let inventory = open.inventory().await;
    approved(&inventory, 1).await;
    inventory.create_room(By { actor: "frau.meier", ..BY }, "Wappensaal").await.unwrap();
    let shape = inventory.shape().await.unwrap();
    assert_eq!(shape.engine, if open.0.starts_with("postgres") { "postgres" } else { "sqlite" });
    assert_eq!(shape.migration, shape.newest_migration);
    let rows = |table: &str| shape.rows.iter().find(|(name, _)| name == table).map(|(_, rows)| *rows);
    assert_eq!((rows("devices"), rows("rooms"), rows("users")), (Some(1), Some(2), Some(0)));
    let words = inventory.personal_words().await.unwrap();
    for (what, word) in [(Personal::Named, "Wappensaal"), (Personal::Person, "frau.meier")] {
        assert!(words.iter().any(|known| known.0 == what && known.1 == word), "{word}");
    }
    assert!(words.iter().any(|(what, _)| *what == Personal::Device));
}
