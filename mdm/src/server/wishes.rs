//! What every iPad should have, in memory: computed from the inventory whenever something changed that matters, and told to iPads for whom
//! it is something else than before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use inventory::mdm::{AppId, Declared, Holding, Install, IpadExam, IpadRule, Moment, RuledIpad, When};
use inventory::{Change, EnrolmentId, UnixMillis, clock};
use ipados::os::DeviceFacts;
use ipados::rules::{Layer, needs_identity};
use time::OffsetDateTime;
use tokio::sync::Notify;
use uuid::Uuid;

use super::Server;
use super::apps::desired_app;
use crate::command::{Command, DeclarativeManagement};
use crate::declarative::DeclarationSet;
use crate::document::Data;
use crate::keep::pause_after;
use crate::wanted::{School, Wanted, WlanIdentity, is_own};

/// What every iPad should have.
pub(crate) struct Wishes {
    school: School,
    now: Mutex<Now>,
    /// Somebody changed something.
    changed: Notify,
    /// One computes at a time.
    turn: tokio::sync::Mutex<()>,
}

/// What was computed last.
#[derive(Default)]
struct Now {
    /// By iPad; most share one with others.
    of: HashMap<EnrolmentId, Arc<Wish>>,
    /// Profiles by the hash of their content, those of one iPad alone excepted.
    profiles: HashMap<Uuid, Arc<[u8]>>,
}

/// What one iPad should have, and what that was made of.
pub(crate) struct Wish {
    /// What it is told.
    pub(crate) declarations: DeclarationSet,
    made_of: Ingredients,
    layers: Arc<[Layer]>,
    /// The hashes of its profiles.
    profiles: Vec<Uuid>,
}

/// Whoever has the same of these should have the same.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Ingredients {
    holding: Vec<(Uuid, i64)>,
    facts: DeviceFacts,
    apps: Vec<(AppId, Install)>,
    /// Where a network needs an identity of the iPad's own.
    wlan: Option<WlanIdentity>,
}

/// What the inventory says, read once for all iPads.
struct Book {
    rules: Vec<IpadRule>,
    exams: Vec<IpadExam>,
    moment: Moment,
}

/// What was computed for some and may be the same for others.
#[derive(Default)]
struct Pot {
    layers: HashMap<Vec<(Uuid, i64)>, Arc<[Layer]>>,
    wishes: HashMap<Ingredients, Option<Arc<Wish>>>,
    profiles: HashMap<Uuid, Arc<[u8]>>,
}

impl Wishes {
    pub(crate) fn new(school: School) -> Self {
        Self { school, now: Mutex::default(), changed: Notify::new(), turn: tokio::sync::Mutex::default() }
    }

    /// Hears of a change in the inventory.
    pub(crate) fn heed(&self, change: &Change) {
        let matters = match change.entity.as_str() {
            "ipad_rule" | "device" | "group" | "user" | "rule" | "lessons" => true,
            "exam" => change.action != "observed",
            "ipad" => change.action == "reachable",
            _ => false,
        };
        if matters {
            self.changed.notify_one();
        }
    }

    /// Somebody has other apps.
    pub(super) fn heed_apps(&self) {
        self.changed.notify_one();
    }

    /// An iPad said what it is.
    pub(crate) fn heed_facts(&self, ipad: EnrolmentId, facts: &serde_json::Value) {
        let said = |key: &str| facts.get(key).and_then(serde_json::Value::as_bool).unwrap_or_default();
        let os = facts.get("os_version").and_then(|os| os.as_str()?.parse().ok());
        let known = self.lock().of.get(&ipad).is_some_and(|wish| {
            let known = wish.made_of.facts;
            known.supervised == said("supervised")
                && known.shared_ipad == said("shared")
                && os.is_none_or(|os| known.os == os)
        });
        if !known {
            self.changed.notify_one();
        }
    }

    /// The profile with that id, if iPads should have it.
    pub(crate) fn profile(&self, id: Uuid) -> Option<Arc<[u8]>> {
        self.lock().profiles.get(&id).cloned()
    }

    /// The profile with that id that an iPad alone should have.
    pub(crate) fn own_profile(&self, id: Uuid, ipad: EnrolmentId) -> Option<Vec<u8>> {
        let wish = self.lock().of.get(&ipad).cloned()?;
        let Ingredients { facts, wlan, .. } = &wish.made_of;
        let wanted = self.school.wanted(&wish.layers, *facts, Vec::new(), wlan.as_ref()?).ok()?;
        wanted.profiles.into_iter().find(|document| document.uuid == id).map(|document| document.xml)
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        // Every step leaves maps that are right, so a panic elsewhere cannot have left half of one.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// What an iPad should have.
    ///
    /// # Errors
    /// The inventory failed.
    pub(crate) async fn wish(&self, ipad: EnrolmentId) -> inventory::Result<Option<Arc<Wish>>> {
        if let Some(wish) = self.wishes.lock().of.get(&ipad) {
            return Ok(Some(Arc::clone(wish)));
        }
        // It came a moment ago.
        self.wish_anew(clock::now()).await?;
        Ok(self.wishes.lock().of.get(&ipad).cloned())
    }

    /// Computes what every iPad should have and tells those for whom it changed. Returns when it changes by itself.
    ///
    /// # Errors
    /// The inventory failed; what was told stays told.
    pub(crate) async fn wish_anew(&self, now: UnixMillis) -> inventory::Result<UnixMillis> {
        let _turn = self.wishes.turn.lock().await;
        let book = self.book(now).await?;
        let (ipads, problems) = self.inventory.ruled_ipads(now).await?;
        for problem in problems {
            tracing::warn!(error = &problem as &dyn std::error::Error, "an iPad is left out of the rules");
        }
        let apps = self.declared_apps().await?;
        let mut pot = Pot::default();
        let mut of = HashMap::with_capacity(ipads.len());
        let mut news = Vec::new();
        for ipad in &ipads {
            let apps = apps.get(&ipad.id).cloned().unwrap_or_default();
            let Some(wish) = self.wish_of(&book, ipad, apps, &mut pot) else { continue };
            if ipad.declared.as_deref() != Some(wish.declarations.token()) {
                news.extend(self.tell(ipad.id, &wish.declarations, now));
            }
            of.insert(ipad.id, wish);
            // Who asks for work meanwhile does not wait for thousands of others.
            tokio::task::consume_budget().await;
        }
        *self.wishes.lock() = Now { of, profiles: pot.profiles };
        for part in news.chunks(TOLD_AT_ONCE) {
            self.inventory.declare(self.by(now), part).await?;
            part.iter().for_each(|declared| self.ipads.note_work(declared.command.enrolment));
        }
        Ok(book.next_change())
    }

    async fn book(&self, now: UnixMillis) -> inventory::Result<Book> {
        let (rules, problems) = self.inventory.ipad_rules(&self.vault).await?;
        for problem in problems {
            tracing::warn!(error = &problem as &dyn std::error::Error, "a rule for iPads is left out");
        }
        let exams = self.inventory.ipad_exams(now).await?;
        let bell = self.inventory.grid().await?.bell_at(now);
        Ok(Book { rules, exams, moment: Moment { at: now, bell } })
    }

    /// What one iPad should have; computed once for all for whom the same holds, and not again while nothing changes for them.
    fn wish_of(
        &self,
        book: &Book,
        ipad: &RuledIpad,
        apps: Vec<(AppId, Install)>,
        pot: &mut Pot,
    ) -> Option<Arc<Wish>> {
        let holding = Holding::of(&book.rules, &book.exams, ipad, book.moment);
        let key = holding.key();
        let layers = pot.layers.entry(key.clone()).or_insert_with(|| holding.layers().into());
        let layers = Arc::clone(layers);
        let enrolment = ipad.id.to_string();
        let wlan = WlanIdentity { enrolment, generation: generation(ipad.id, book.moment.at) };
        let own = needs_identity(&layers).then(|| wlan.clone());
        let made_of = Ingredients { holding: key, facts: ipad.facts, apps, wlan: own };
        if let Some(wish) = pot.wishes.get(&made_of) {
            return wish.clone();
        }
        let wish =
            self.kept(ipad.id, &made_of, pot).or_else(|| self.made(ipad, &made_of, layers, &wlan, pot));
        pot.wishes.insert(made_of, wish.clone());
        wish
    }

    /// What was computed before, if it was made of the same.
    fn kept(&self, ipad: EnrolmentId, made_of: &Ingredients, pot: &mut Pot) -> Option<Arc<Wish>> {
        let now = self.wishes.lock();
        let wish = now.of.get(&ipad).filter(|wish| wish.made_of == *made_of)?;
        let known = wish.profiles.iter().filter_map(|id| Some((*id, Arc::clone(now.profiles.get(id)?))));
        pot.profiles.extend(known);
        Some(Arc::clone(wish))
    }

    fn made(
        &self,
        ipad: &RuledIpad,
        made_of: &Ingredients,
        layers: Arc<[Layer]>,
        wlan: &WlanIdentity,
        pot: &mut Pot,
    ) -> Option<Arc<Wish>> {
        let apps = made_of.apps.iter().map(|(app, install)| desired_app(*app, *install)).collect();
        let wanted = self.wishes.school.wanted(&layers, ipad.facts, apps, wlan);
        let wanted = wanted.inspect_err(|error| {
            tracing::error!(ipad.id = %ipad.id, error = error as &dyn std::error::Error, "the rules of an iPad cannot be written");
        });
        let Wanted { declarations, profiles } = wanted.ok()?;
        let shared = profiles.iter().filter(|document| !is_own(document));
        pot.profiles.extend(shared.map(|document| (document.uuid, document.xml.as_slice().into())));
        let profiles = profiles.iter().map(|document| document.uuid).collect();
        Some(Arc::new(Wish { declarations, made_of: made_of.clone(), layers, profiles }))
    }

    fn tell(&self, ipad: EnrolmentId, declarations: &DeclarationSet, now: UnixMillis) -> Option<Declared> {
        let at = OffsetDateTime::from_unix_timestamp(now.0 / 1000).ok()?;
        let tokens = declarations.tokens(at).to_string();
        let command = DeclarativeManagement { data: Some(Data::from(tokens.into_bytes())) };
        let command = self.wrap(ipad, &Command::DeclarativeManagement(command), now)?;
        Some(Declared { token: declarations.token().to_owned(), command })
    }
}

impl Book {
    /// When something changes by itself: a bell, the end of an exam. Who is in the network is looked at again and again where it matters.
    fn next_change(&self) -> UnixMillis {
        let ends = self.exams.iter().flat_map(|exam| exam.targets.iter().map(|(_, ends)| *ends));
        let presence = self.rules.iter().any(|rule| rule.new.when == When::AtSchool);
        let look = presence.then(|| self.moment.at.plus_secs(PRESENCE_SECS));
        ends.chain([self.moment.bell.until]).chain(look).min().unwrap_or(self.moment.bell.until)
    }
}

/// Counts up once in a year of each iPad, on a day of its own: its certificate for the WLAN holds for two.
fn generation(ipad: EnrolmentId, now: UnixMillis) -> i64 {
    let day = i64::from(ipad.0.as_bytes().first().copied().unwrap_or_default()) * 365 / 256;
    (now.0.div_euclid(86_400_000) + day).div_euclid(365)
}

/// Computes what iPads should have whenever something changed, and when the time for it has come.
pub(crate) async fn follow(server: Arc<Server>) {
    loop {
        let now = clock::now();
        let next = match server.wish_anew(now).await {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot see what iPads should have; trying again"
                );
                now.plus_secs(RETRY_SECS)
            }
        };
        tokio::time::sleep(pause_after(now, clock::now())).await;
        let wait = u64::try_from(next.0 - clock::now().0).unwrap_or(0).min(LOOK_ANYWAY_MILLIS);
        tokio::select! {
            () = server.wishes.changed.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(wait)) => {}
        }
    }
}

const LOOK_ANYWAY_MILLIS: u64 = 60_000;
const RETRY_SECS: u64 = 5;
const PRESENCE_SECS: u64 = 10;
/// In one transaction.
const TOLD_AT_ONCE: usize = 500;
