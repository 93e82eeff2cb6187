//! Who may look up what: from a client's level and the lists to a ruling.
//!
//! | Source                                           | What follows from it                                              |
//! |--------------------------------------------------|-------------------------------------------------------------------|
//! | Mozilla, "Canary domain"                         | `use-application-dns.net` does not exist: no DNS over HTTPS by default |
//! | Apple, "Prepare your network for iCloud Private Relay" | `mask.icloud.com` and `mask-h2.icloud.com` do not exist           |
//! | RFC 9462                                         | `resolver.arpa` is a zone of our own, see [`super::super::special`] |
//! | Google, Microsoft, DuckDuckGo                    | SafeSearch and restricted YouTube are aliases, see `safe_search.txt` |
//! | RFC 9460                                         | HTTPS and SVCB records hold addresses, and are left out where those matter |
//!
//! Names of the school's own zones are answered before anything is asked here, at every level. What a level means otherwise:
//!
//! - **On**: everything.
//! - **Filtered**: the first of these that says something decides:
//!   1. the canary names do not exist;
//!   2. what is always reachable is reachable;
//!   3. the filter's lists that the school wrote: the longest listed name decides, and where one is on an allow and on a block
//!      list, it is allowed. So `kids.example.org` can be allowed below a blocked `example.org`, and the other way round;
//!   4. names of public resolvers over HTTPS and TLS are blocked, see `resolvers.txt`;
//!   5. the filter's subscribed allow lists;
//!   6. the filter's subscribed block lists, each with its own exceptions: what one publisher excepts another may still block.
//!
//!   What is reachable may still be rewritten for SafeSearch, and is blocked when it is an alias of something blocked, unless it
//!   was allowed by name.
//! - **Allow list**: the client's list, and what is always reachable; addresses are opened in the kernel before the answer leaves.
//! - **Off**: only what is always reachable, opened in the same way.
//!
//! The refused do not exist (NXDOMAIN). REFUSED and SERVFAIL would make clients ask again and ask their second server, for seconds;
//! an address of a page of ours would help nobody, since nearly every page is HTTPS, for which no honest certificate can exist, and
//! browsers keep the wrong address after the lock ended. NXDOMAIN ends the attempt at once, is forgotten after 10 seconds (the TTL of
//! its SOA), and carries the reason for whoever looks (RFC 8914, code 15). What leads a locked person to the page that explains
//! is the name that the device itself probes ([`PROBES`]): at the levels that close, it is answered truthfully but not opened, so that
//! the probe, plain HTTP, runs into the gate.

use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::{Arc, LazyLock};

use hickory_proto::rr::RecordType;
use inventory::{ALWAYS_DEFAULT, Filter, FilterId, Level, ListAction, ListId, NameList, YouTube};

use super::Reader;
use super::table::{self, Hashed, LISTS_MAX, Names};
use crate::clients::Client;

/// All rules: an immutable snapshot that is replaced as a whole.
#[derive(Debug)]
pub(crate) struct Rules {
    /// All tables have this key.
    key: RandomState,
    /// The lists that filters use: millions of names, shared with the rules that follow while those lists stay the same.
    names: Arc<Names>,
    /// Those lists; a list's place here is its bit in the masks.
    lists: Vec<(ListId, Box<str>)>,
    /// Lists that can be the only thing that a client may use.
    alone: HashMap<ListId, Names>,
    always: Names,
    resolvers: Names,
    filters: HashMap<FilterId, Uses>,
}

/// What happens to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ruling<'r> {
    /// It is asked as it is.
    Ask(Then),
    /// Another name is asked, and the answer is an alias of it.
    AskFor(Target, Then),
    /// There is no such name.
    NoName(Reason<'r>),
    /// The name has no such records.
    NoData(Reason<'r>),
}

/// What happens to the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It is given.
    Give,
    /// It is given if [`Rules::alias`] has nothing against the names that it leads over.
    CheckAliases,
    /// Its addresses are opened in the kernel, then it is given.
    Open,
}

/// Which rule said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason<'r> {
    /// The list of this name.
    List(&'r str),
    /// It is not on the client's allow list.
    NotAllowed,
    /// The client is locked.
    Off,
    /// It would switch the filter off.
    Canary,
    /// It is another resolver.
    Resolver,
    /// SafeSearch goes without it.
    SafeSearch,
    /// What it says cannot be opened in the kernel.
    NotOpened,
}

impl Reason<'_> {
    /// One line for EXTRA-TEXT (RFC 8914) and the debug log.
    pub(crate) fn text(self) -> String {
        match self {
            Self::List(name) => format!("list: {name}"),
            Self::NotAllowed => "not on the allow list".into(),
            Self::Off => "locked".into(),
            Self::Canary => "would switch the filter off".into(),
            Self::Resolver => "another resolver".into(),
            Self::SafeSearch => "SafeSearch".into(),
            Self::NotOpened => "only addresses at this level".into(),
        }
    }
}

/// The name that is asked instead of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Target {
    /// Google's SafeSearch.
    Google = 1,
    /// Bing's.
    Bing,
    /// DuckDuckGo's.
    DuckDuckGo,
    /// YouTube, moderately restricted.
    YouTubeModerate,
    /// YouTube, strictly restricted.
    YouTubeStrict,
}

impl Target {
    /// The name, in presentation form.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Google => "forcesafesearch.google.com.",
            Self::Bing => "strict.bing.com.",
            Self::DuckDuckGo => "safe.duckduckgo.com.",
            Self::YouTubeModerate => "restrictmoderate.youtube.com.",
            Self::YouTubeStrict => "restrict.youtube.com.",
        }
    }
}

/// What a filter does, with a bit for each list.
#[derive(Debug, Clone, Copy)]
struct Uses {
    own_allow: u32,
    own_block: u32,
    allow: u32,
    block: u32,
    safe_search: bool,
    youtube: YouTube,
}

/// What lists say about a name.
enum Verdict<'r> {
    Allowed,
    Blocked(Reason<'r>),
    Nothing,
}

impl Rules {
    /// Rules for a name in wire form and lower case. `None` is a client for which the gate decided nothing.
    pub(crate) fn rule(&self, client: Option<Client>, name: &[u8], kind: RecordType) -> Ruling<'_> {
        let Some(client) = client.filter(|client| client.level != Level::On) else {
            return Ruling::Ask(Then::Give);
        };
        if SPECIAL.canaries.iter().any(|canary| canary.as_ref() == name) {
            return Ruling::NoName(Reason::Canary);
        }
        let hashed = &Hashed::new(&self.key, name);
        match client.level {
            Level::On | Level::Filtered => self.filtered(self.uses(client.filter), name, hashed, kind),
            Level::AllowList if client.list.is_some_and(|list| self.is_on(list, hashed)) => {
                opened(self.rewrite(client.filter.map(|id| self.uses(Some(id))), name, kind), kind)
            }
            Level::AllowList | Level::Off if self.always.holds(hashed) => opened(None, kind),
            Level::AllowList | Level::Off if SPECIAL.probes.iter().any(|probe| probe.as_ref() == name) => {
                Ruling::Ask(Then::Give)
            }
            Level::AllowList => Ruling::NoName(Reason::NotAllowed),
            Level::Off => Ruling::NoName(Reason::Off),
        }
    }

    /// Rules for a name that an answer leads over. Asked only for [`Then::CheckAliases`].
    pub(crate) fn alias(&self, client: Option<Client>, name: &[u8]) -> Option<Reason<'_>> {
        match self.judge(self.uses(client?.filter), &Hashed::new(&self.key, name)) {
            Verdict::Blocked(reason) => Some(reason),
            Verdict::Allowed | Verdict::Nothing => None,
        }
    }

    /// The table of the lists that filters use.
    pub(crate) fn names(&self) -> Arc<Names> {
        Arc::clone(&self.names)
    }

    /// How many names are on lists.
    pub(crate) fn len(&self) -> usize {
        self.names.len() + self.always.len() + self.alone.values().map(Names::len).sum::<usize>()
    }

    fn filtered(&self, uses: Uses, name: &[u8], hashed: &Hashed, kind: RecordType) -> Ruling<'_> {
        let then = match self.judge(uses, hashed) {
            Verdict::Blocked(reason) => return Ruling::NoName(reason),
            Verdict::Allowed => Then::Give,
            Verdict::Nothing => Then::CheckAliases,
        };
        match self.rewrite(Some(uses), name, kind) {
            Some(Rewrite::Alias(target)) => Ruling::AskFor(target, Then::Give),
            Some(Rewrite::Nothing) => Ruling::NoData(Reason::SafeSearch),
            None => Ruling::Ask(then),
        }
    }

    fn judge(&self, uses: Uses, name: &Hashed) -> Verdict<'_> {
        if self.always.holds(name) {
            return Verdict::Allowed;
        }
        let (mut listed, mut excepted) = (0, 0);
        for mask in self.names.of(name) {
            let here = mask.listed & !mask.excepted;
            if here & uses.own_allow != 0 {
                return Verdict::Allowed;
            }
            if here & uses.own_block != 0 {
                return Verdict::Blocked(self.reason(here & uses.own_block));
            }
            listed |= mask.listed;
            excepted |= mask.excepted;
        }
        let listed = listed & !excepted;
        if self.resolvers.holds(name) {
            Verdict::Blocked(Reason::Resolver)
        } else if listed & uses.allow != 0 {
            Verdict::Allowed
        } else if listed & uses.block != 0 {
            Verdict::Blocked(self.reason(listed & uses.block))
        } else {
            Verdict::Nothing
        }
    }

    fn rewrite(&self, uses: Option<Uses>, name: &[u8], kind: RecordType) -> Option<Rewrite> {
        let uses = uses?;
        let target = match (SPECIAL.searches.get(name)?, uses.youtube) {
            (Engine::YouTube, YouTube::Moderate) => Target::YouTubeModerate,
            (Engine::YouTube, YouTube::Strict) => Target::YouTubeStrict,
            (Engine::Search(target), _) if uses.safe_search => *target,
            _ => return None,
        };
        match kind {
            RecordType::A | RecordType::AAAA | RecordType::CNAME => Some(Rewrite::Alias(target)),
            // Those would give the addresses of what is not to be shown.
            RecordType::HTTPS | RecordType::SVCB => Some(Rewrite::Nothing),
            _ => None,
        }
    }

    /// A client whose filter does not exist is not left without one.
    fn uses(&self, filter: Option<FilterId>) -> Uses {
        filter.and_then(|id| self.filters.get(&id)).copied().unwrap_or(BUILT_IN)
    }

    fn is_on(&self, list: ListId, name: &Hashed) -> bool {
        if let Some(names) = self.alone.get(&list) {
            return names.holds(name);
        }
        let Some(bit) = self.lists.iter().position(|(id, _)| *id == list) else { return false };
        let mut listed = false;
        for mask in self.names.of(name) {
            if mask.excepted >> bit & 1 == 1 {
                return false;
            }
            listed |= mask.listed >> bit & 1 == 1;
        }
        listed
    }

    fn reason(&self, lists: u32) -> Reason<'_> {
        let first = usize::try_from(lists.trailing_zeros()).unwrap_or_default();
        Reason::List(self.lists.get(first).map_or("", |(_, name)| name))
    }
}

/// What SafeSearch makes of a question.
#[derive(Debug, Clone, Copy)]
enum Rewrite {
    Alias(Target),
    Nothing,
}

/// An allowed name at a level that opens addresses.
fn opened<'r>(rewrite: Option<Rewrite>, kind: RecordType) -> Ruling<'r> {
    match (rewrite, kind) {
        // Hints in those would have to be opened, and clients that find none ask for addresses.
        (_, RecordType::HTTPS | RecordType::SVCB) => Ruling::NoData(Reason::NotOpened),
        (Some(Rewrite::Alias(target)), _) => Ruling::AskFor(target, Then::Open),
        (_, RecordType::A | RecordType::AAAA) => Ruling::Ask(Then::Open),
        _ => Ruling::Ask(Then::Give),
    }
}

/// Makes [`Rules`]: lists are read into it one after the other.
#[derive(Debug)]
pub(crate) struct Builder {
    key: RandomState,
    names: table::Builder,
    /// A table that is used instead of `names`.
    kept: Option<Arc<Names>>,
    lists: Vec<(ListId, Box<str>)>,
    alone: HashMap<ListId, Names>,
    always: table::Builder,
    resolvers: table::Builder,
    filters: HashMap<FilterId, Uses>,
    /// Lists that are one too many.
    surplus: Vec<ListId>,
}

impl Builder {
    /// Begins with the filters and what is known of the lists. `key` is random.
    pub(crate) fn new(key: RandomState, filters: &[Filter], lists: &[NameList]) -> Self {
        let mut builder = Self {
            names: table::Builder::new(key.clone()),
            kept: None,
            lists: Vec::new(),
            alone: HashMap::new(),
            always: built_in(&key, ALWAYS_DEFAULT),
            resolvers: built_in(&key, RESOLVERS),
            filters: HashMap::new(),
            surplus: Vec::new(),
            key,
        };
        for filter in filters {
            let uses = builder.uses_of(filter, lists);
            builder.filters.insert(filter.id, uses);
        }
        builder
    }

    fn uses_of(&mut self, filter: &Filter, lists: &[NameList]) -> Uses {
        let (safe_search, youtube) = (filter.safe_search, filter.youtube);
        let mut uses = Uses { own_allow: 0, own_block: 0, allow: 0, block: 0, safe_search, youtube };
        for (id, action) in &filter.lists {
            let Some(list) = lists.iter().find(|list| list.id == *id) else { continue };
            let Some(bit) = self.bit_of(list) else { continue };
            let of_action = match (list.source.is_none(), action) {
                (true, ListAction::Allow) => &mut uses.own_allow,
                (true, ListAction::Block) => &mut uses.own_block,
                (false, ListAction::Allow) => &mut uses.allow,
                (false, ListAction::Block) => &mut uses.block,
            };
            *of_action |= 1 << bit;
        }
        uses
    }

    fn bit_of(&mut self, list: &NameList) -> Option<usize> {
        if let Some(known) = self.lists.iter().position(|(id, _)| *id == list.id) {
            return Some(known);
        }
        if self.lists.len() >= LISTS_MAX {
            self.surplus.push(list.id);
            return None;
        }
        self.lists.push((list.id, list.name.as_str().into()));
        Some(self.lists.len() - 1)
    }

    /// The lists that filters use, in the order of their bits.
    pub(crate) fn used(&self) -> impl Iterator<Item = ListId> {
        self.lists.iter().map(|(id, _)| *id)
    }

    /// Uses the table of earlier rules, which was made with the same key from the same names of the same lists in the same order.
    pub(crate) fn keep(&mut self, names: Arc<Names>) {
        self.kept = Some(names);
    }

    /// Whether a list has to be read: all that it says may be in the table that was kept.
    pub(crate) fn needs(&self, list: &NameList) -> bool {
        list.source.is_none() || self.kept.is_none() || !self.used().any(|id| id == list.id)
    }

    /// Reads a list of so many bytes: `read` feeds the reader.
    pub(crate) fn read<E>(
        &mut self,
        list: &NameList,
        bytes: u64,
        read: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<(), E>,
    ) -> Result<super::Report, E> {
        let bit = self.lists.iter().position(|(id, _)| *id == list.id);
        // What a filter uses can be found by its bit; only short lists are worth a table of their own beside that.
        let mut alone =
            (bit.is_none() || list.source.is_none()).then(|| table::Builder::new(self.key.clone()));
        let bit = bit.filter(|_| self.kept.is_none());
        if bit.is_some() {
            self.names.expect(bytes);
        }
        if let Some(alone) = &mut alone {
            alone.expect(bytes);
        }
        let sink = |name: &[u8], excepted| {
            if list.id == ListId::ALWAYS {
                self.always.add(name, 0, excepted);
            }
            if let Some(bit) = bit {
                self.names.add(name, bit, excepted);
            }
            if let Some(alone) = &mut alone {
                alone.add(name, 0, excepted);
            }
        };
        let mut reader = if list.source.is_none() { Reader::for_people(sink) } else { Reader::new(sink) };
        read(&mut |piece: &[u8]| reader.feed(piece))?;
        let report = reader.finish();
        if let Some(alone) = alone {
            self.alone.insert(list.id, alone.build());
        }
        Ok(report)
    }

    /// What could not be taken in: lists beyond the 32nd that filters use, and whether there were too many names.
    pub(crate) fn left_out(&self) -> (&[ListId], bool) {
        (&self.surplus, self.names.is_full())
    }

    /// The rules.
    pub(crate) fn build(self) -> Rules {
        Rules {
            key: self.key,
            names: self.kept.unwrap_or_else(|| Arc::new(self.names.build())),
            lists: self.lists,
            alone: self.alone,
            always: self.always.build(),
            resolvers: self.resolvers.build(),
            filters: self.filters,
        }
    }
}

/// A list that comes with the program.
fn built_in(key: &RandomState, text: &str) -> table::Builder {
    let mut names = table::Builder::new(key.clone());
    let mut reader = Reader::new(|name: &[u8], _| names.add(name, 0, false));
    reader.feed(text.as_bytes());
    reader.finish();
    names
}

/// Names that mean something by themselves, in wire form.
struct Special {
    searches: HashMap<Box<[u8]>, Engine>,
    canaries: Vec<Box<[u8]>>,
    probes: Vec<Box<[u8]>>,
}

#[derive(Debug, Clone, Copy)]
enum Engine {
    Search(Target),
    YouTube,
}

static SPECIAL: LazyLock<Special> = LazyLock::new(|| {
    let mut searches = HashMap::new();
    for line in SEARCHES.lines() {
        let (engine, names) = line.split_once(' ').unwrap_or_default();
        let engine = match engine {
            "google" => Engine::Search(Target::Google),
            "bing" => Engine::Search(Target::Bing),
            "duckduckgo" => Engine::Search(Target::DuckDuckGo),
            "youtube" => Engine::YouTube,
            _ => continue,
        };
        searches.extend(names.split(' ').map(|name| (wire(name), engine)));
    }
    Special { searches, canaries: CANARIES.map(wire).into(), probes: PROBES.map(wire).into() }
});

/// A name of this file in wire form.
fn wire(name: &str) -> Box<[u8]> {
    let mut wire = Vec::new();
    let mut reader = Reader::new(|name: &[u8], _| wire = name.to_vec());
    reader.feed(name.as_bytes());
    reader.finish();
    wire.into()
}

/// For clients without a filter of their own.
const BUILT_IN: Uses =
    Uses { own_allow: 0, own_block: 0, allow: 0, block: 0, safe_search: true, youtube: YouTube::Moderate };
const SEARCHES: &str = include_str!("safe_search.txt");
const RESOLVERS: &str = include_str!("resolvers.txt");
const CANARIES: [&str; 3] = ["use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com"];
/// What devices ask by plain HTTP to find out whether they are online: Apple, Android, Windows, Firefox, GNOME, KDE, Ubuntu.
const PROBES: [&str; 12] = [
    "captive.apple.com",
    "connectivitycheck.gstatic.com",
    "connectivitycheck.android.com",
    "clients3.google.com",
    "connectivity-check.ubuntu.com",
    "nmcheck.gnome.org",
    "networkcheck.kde.org",
    "detectportal.firefox.com",
    "www.msftconnecttest.com",
    "ipv6.msftconnecttest.com",
    "www.msftncsi.com",
    "neverssl.com",
];

#[cfg(test)]
mod tests;
