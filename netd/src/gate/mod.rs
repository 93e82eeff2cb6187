//! The gate: who may use the internet, enforced by the kernel's firewall.
//!
//! What the inventory says becomes one nftables table of our own (`ruleset.nft`). Every change is one transaction; the table is made
//! anew, also in one transaction, when the gate starts, when interfaces or networks change, and when somebody else touched it.
//! It stays when netd ends: locks hold and grants run out without it.
//!
//! Not done: networks behind another router (hardware addresses of their devices are not seen), DNS for link-local IPv6 addresses.

mod generation;
mod nft;
mod plan;
mod protocol;
mod script;
mod state;
mod strays;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use inventory::gate::Of;
use inventory::{By, Cidr, DeviceId, Inventory, Level, UnixMillis, clock};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::chain::chain;
use crate::changes::Bookmark;
use crate::clients::{Clients, Link, Opening};
use crate::interfaces;
use generation::Generation;
use plan::{Facts, Plan, Scope};
use protocol::{Reading, Watch};
use script::Batch;
use state::{Element, Frame, Member, Opened, State};
use strays::Strays;

/// What the gate needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Port of our DNS server, where questions to other servers are sent.
    pub dns_port: u16,
    /// Port of the plain HTTP page that says why something is locked.
    pub page_port: u16,
}

/// The running gate. Dropping it ends the task; the rules in the kernel stay.
#[derive(Debug)]
pub struct Handle {
    link: Link,
    leases: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Handle {
    /// What DNS needs of the gate.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link.clone()
    }

    /// To be notified after each commit of leases.
    #[must_use]
    pub fn lease_signal(&self) -> Arc<Notify> {
        Arc::clone(&self.leases)
    }

    /// Waits until the gate ended, which it does not by itself.
    pub async fn ended(&mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts the gate; the kernel enforces the rules when this returns. Without a network to guard it touches nothing.
///
/// # Errors
/// The inventory cannot be read. A kernel that refuses is no error but a notice: DHCP and DNS have to work all the same.
pub async fn serve(config: Config, inventory: Inventory) -> Result<Handle, inventory::Error> {
    let (openings, asked) = mpsc::channel(OPENINGS_MAX);
    let link = Link { clients: Arc::new(ArcSwap::from_pointee(Clients::default())), openings };
    let leases = Arc::new(Notify::new());
    let changes = inventory.follow();
    let confirmed = inventory.confirmed_levels(Of::School).await?;
    let mut gate = Gate {
        config,
        inventory,
        clients: Arc::clone(&link.clients),
        seen: Bookmark::default(),
        facts: Facts::default(),
        frame: Frame::default(),
        state: State::default(),
        kernel: Kernel::Unknown,
        generation: Generation::open()
            .map_err(|error| tracing::warn!(%error, "the kernel has no nftables"))
            .ok(),
        plan: Plan::default(),
        watch: Watch::default(),
        book_read: None,
        read_at: None,
        unidentified: true,
        due: Some(Scope::All),
        retry_at: None,
        clock: Offset::read(),
        confirmed: confirmed.into_iter().map(|(id, c)| (id, (c.level, c.ends_at))).collect(),
        problems: HashMap::new(),
        told: Vec::new(),
        made: false,
        strays: Strays::default(),
        strays_at: UnixMillis(0),
    };
    gate.seen = Bookmark::newest(&gate.inventory).await?;
    gate.load().await?;
    gate.remember_opened().await;
    gate.converge().await;
    let task = tokio::spawn(gate.run(changes, Arc::clone(&leases), asked));
    Ok(Handle { link, leases, task })
}

struct Gate {
    config: Config,
    inventory: Inventory,
    clients: Arc<ArcSwap<Clients>>,
    /// The changes that were looked at.
    seen: Bookmark,
    facts: Facts,
    frame: Frame,
    state: State,
    kernel: Kernel,
    generation: Option<Generation>,
    plan: Plan,
    watch: Watch,
    /// When the rules were last read: the timetable's reach some days ahead.
    book_read: Option<std::time::Instant>,
    /// When exams were last looked at.
    read_at: Option<UnixMillis>,
    /// Whether hardware and IP addresses were read that the kernel does not know yet.
    unidentified: bool,
    /// For whom something may have changed that the kernel does not know yet.
    due: Option<Scope>,
    /// When a failed transaction is tried again.
    retry_at: Option<UnixMillis>,
    clock: Offset,
    confirmed: HashMap<DeviceId, (Level, Option<UnixMillis>)>,
    /// What is not in order, by place.
    problems: HashMap<&'static str, (String, String)>,
    told: Vec<(String, String, String)>,
    /// Whether a table of ours may be in the kernel.
    made: bool,
    strays: Strays,
    /// When the kernel was last asked for them.
    strays_at: UnixMillis,
}

/// What is known of the kernel's side.
#[derive(Debug, PartialEq, Eq)]
enum Kernel {
    /// Nothing: the table has to be made.
    Unknown,
    /// There is no table, and there need not be one.
    Untouched,
    /// It holds `state`; with the ruleset's number and the table's text after the last transaction.
    Holds { generation: Option<u32>, skeleton: String },
}

/// How far the wall clock is from the one that never jumps, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Offset(i64);

impl Offset {
    fn read() -> Self {
        let steady = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
            .map_or(0, |t| t.tv_sec() * 1000 + t.tv_nsec() / 1_000_000);
        Self(clock::now().0.saturating_sub(steady))
    }
}

impl Gate {
    async fn run(
        mut self,
        mut changes: watch::Receiver<u64>,
        leases: Arc<Notify>,
        mut asked: mpsc::Receiver<Opening>,
    ) {
        let mut second = interval(LOOK);
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Leases come many at a time in the morning: they are read at most a tenth of the time.
        let (mut addresses_due, mut rest_until) = (false, clock::instant());
        loop {
            let opening = tokio::select! {
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.follow_changes(&mut changes).await;
                    None
                }
                () = leases.notified() => {
                    addresses_due = true;
                    None
                }
                opening = asked.recv() => opening,
                _ = second.tick() => {
                    self.look().await;
                    self.watch_exams().await;
                    addresses_due |= self.facts.addresses_end.is_some_and(|end| end <= clock::now());
                    None
                }
            };
            if let Some(first) = opening {
                self.open(first, &mut asked).await;
            } else {
                let began = clock::instant();
                if addresses_due && began >= rest_until {
                    addresses_due = false;
                    self.reload_addresses().await;
                    rest_until = clock::instant() + 9 * (clock::instant() - began);
                }
                self.converge().await;
            }
            self.tell().await;
        }
    }

    /// Reads again what the change log says has changed.
    async fn follow_changes(&mut self, changes: &mut watch::Receiver<u64>) {
        let (mut rules, mut all) = (false, false);
        let read = self.seen.read_on(&self.inventory, |change| match change.entity.as_str() {
            "rule" | "timetable" | "lessons" => rules = true,
            "device" if change.action == "observed" => {}
            "network" | "room" | "group" | "device" | "user" => all = true,
            _ => {}
        });
        if let Err(error) = read.await {
            tracing::warn!(error = chain(&error), "cannot read the change log");
            return changes.mark_changed();
        }
        let done = match (all, rules) {
            (true, _) => self.load().await,
            (false, true) => self.load_book().await,
            (false, false) => return,
        };
        if let Err(error) = done {
            tracing::warn!(error = chain(&error), "cannot read rules and devices; the gate stays as it was");
            // Nothing else will say so again.
            self.seen.step_back();
            changes.mark_changed();
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn load(&mut self) -> Result<(), inventory::Error> {
        let (networks, mut bad) = self.inventory.networks().await?;
        let (guarded, bad_guarded) = self.inventory.gated_networks().await?;
        let (devices, bad_devices) = self.inventory.gate_devices(Of::School).await?;
        bad.extend(bad_guarded);
        bad.extend(bad_devices);
        for problem in bad.iter().take(ROWS_MAX) {
            tracing::warn!(error = chain(problem), "left out of the gate");
        }
        self.facts.school = networks.iter().map(|network| network.cidr).collect();
        self.facts.networks = guarded;
        self.facts.interfaces = interfaces::addresses();
        self.facts.set_devices(devices);
        self.mark(Scope::All);
        self.load_addresses().await?;
        self.load_book().await
    }

    async fn load_book(&mut self) -> Result<(), inventory::Error> {
        let (book, bad) = self.inventory.gate_book(clock::now()).await?;
        for problem in bad.iter().take(ROWS_MAX) {
            tracing::warn!(error = chain(problem), "this rule is left out");
        }
        self.mark(Scope::Targets(book.differing(&self.facts.book)));
        self.facts.book = book;
        self.book_read = Some(clock::instant());
        Ok(())
    }

    fn mark(&mut self, scope: Scope) {
        self.due = Some(match self.due.take() {
            Some(before) => before.and(scope),
            None => scope,
        });
    }

    async fn load_addresses(&mut self) -> Result<(), inventory::Error> {
        let (leases, _) = self.inventory.held_addresses(clock::now()).await?;
        let new = self.facts.explain(leases);
        self.mark(new);
        self.unidentified = true;
        Ok(())
    }

    async fn reload_addresses(&mut self) {
        if let Err(error) = self.load_addresses().await {
            tracing::warn!(error = chain(&error), "cannot read leases; the gate knows the old addresses");
        }
    }

    /// Brings the kernel to what should be, if anything changed or time brought something.
    async fn converge(&mut self) {
        let now = clock::now();
        let broken = self.kernel == Kernel::Unknown && self.retry_at.is_none_or(|at| at <= now);
        if broken || self.plan.next.is_some_and(|at| at <= now) {
            self.mark(Scope::All);
        }
        let Some(scope) = self.due.take() else { return };
        let (frame, nowhere) = self.facts.frame(self.config.dns_port, self.config.page_port);
        self.note_missing_interfaces(&nowhere);
        if frame != self.frame {
            self.frame = frame;
            self.kernel = Kernel::Unknown;
        }
        let mut batch = Batch::new(now);
        if std::mem::take(&mut self.unidentified) {
            self.facts.identify(&mut self.state, &mut batch);
        }
        self.facts.carry_out(&scope, &mut self.state, &mut batch, &mut self.plan);
        if self.frame.links.is_empty() {
            self.clients.store(Arc::new(Clients::default()));
            if self.withdraw().await {
                self.forget_levels(|_| true).await;
            }
            return;
        }
        let held = match self.kernel {
            Kernel::Holds { .. } if batch.is_empty() => true,
            Kernel::Holds { .. } => self.transact(&batch).await,
            Kernel::Unknown | Kernel::Untouched => self.make().await,
        };
        // When it is not, the kernel is unknown, and everything is done once more.
        if held {
            self.publish(&scope).await;
        }
    }

    /// Changes elements. `false` when the kernel did not take them.
    async fn transact(&mut self, batch: &Batch) -> bool {
        if let Err(error) = nft::run(&batch.script()).await {
            return self.failed(chain(&error));
        }
        let generation = self.read_generation();
        match nft::read(&batch.maps()).await {
            Ok(taken) if batch.is_taken(&taken) => {}
            Ok(_) => return self.failed("the kernel holds something else than it was given".into()),
            Err(error) => return self.failed(chain(&error)),
        }
        if let Kernel::Holds { generation: before, .. } = &mut self.kernel {
            // One more than ours means that somebody else was there too: look() will see a number it does not know.
            let own = before.map(|number| number.wrapping_add(1));
            *before = generation.filter(|number| own == Some(*number)).or(Some(0));
        }
        true
    }

    /// Makes the whole table and reads it back.
    async fn make(&mut self) -> bool {
        let (now, began) = (clock::now(), clock::instant());
        self.state.forget(now);
        let before = self.read_generation();
        if let Err(error) = nft::run(&script::whole(&self.frame, &self.state, now)).await {
            return self.failed(chain(&error));
        }
        let made = self.read_back().await;
        let generation = self.read_generation();
        if before.map(|number| number.wrapping_add(1)) != generation {
            // What was read may be what somebody else made of it.
            tracing::info!(
                "another program changed the firewall at the same moment; the gate is made once more"
            );
            self.retry_at = Some(now.plus_secs(1));
            return false;
        }
        let skeleton = match made {
            Ok((0, skeleton)) => skeleton,
            Ok((differing, _)) => {
                return self.failed(format!("{differing} entries of the table are not what they should be"));
            }
            Err(error) => return self.failed(chain(&error)),
        };
        self.kernel = Kernel::Holds { generation, skeleton };
        self.made = true;
        self.retry_at = None;
        self.problems.remove("kernel");
        let links: Vec<&String> = self.frame.links.keys().collect();
        let duration_ms = (clock::instant() - began).as_millis();
        tracing::info!(interfaces = ?links, devices = self.facts.devices.len(), duration_ms, "the gate guards");
        forward();
        true
    }

    /// How many entries of the table are not what they should be, and its chains and rules.
    async fn read_back(&self) -> Result<(usize, String), nft::Error> {
        let read = nft::read(&self.state.maps()).await?;
        Ok((self.state.differing(&read, clock::now()), nft::skeleton().await?))
    }

    /// Takes the table away when there is nothing to guard. `false` when the kernel keeps it.
    async fn withdraw(&mut self) -> bool {
        if self.kernel == Kernel::Untouched {
            return true;
        }
        let gone = match nft::skeleton().await {
            Ok(ours) if !ours.is_empty() => nft::run(&script::nothing()).await,
            Err(error) if self.made => Err(error),
            // Without nft, or without the right to use it, nobody has made a table.
            Ok(_) | Err(_) => Ok(()),
        };
        if let Err(error) = gone {
            return self.failed(chain(&error));
        }
        (self.kernel, self.made, self.retry_at) = (Kernel::Untouched, false, None);
        self.problems.remove("kernel");
        true
    }

    /// Carries over what DNS opened before this start: connections to it go on, and clients do not ask for the names again.
    async fn remember_opened(&mut self) {
        if !nft::skeleton().await.is_ok_and(|ours| !ours.is_empty()) {
            return;
        }
        self.made = true;
        let now = clock::now();
        for set in &mut self.state.opened {
            match nft::opened(set.name).await {
                Ok(opened) => set.map.extend(
                    opened
                        .into_iter()
                        .take(OPENED_MAX)
                        .map(|(key, secs)| (key, Element { value: Member, ends: Some(now.plus_secs(secs)) })),
                ),
                // A table of an older version has other sets.
                Err(error) => tracing::info!(
                    error = chain(&error),
                    set = set.name,
                    "what was open is opened anew when it is asked for"
                ),
            }
        }
    }

    fn failed(&mut self, reason: String) -> bool {
        tracing::error!(reason, "the kernel does not hold the gate's rules; it keeps those from before");
        let remedy = "see the log of netd; the server needs nftables and the right to use it (CAP_NET_ADMIN)";
        let text = format!("changes of the internet rules do not take effect: {reason}");
        self.problems.insert("kernel", (text, remedy.into()));
        self.kernel = Kernel::Unknown;
        self.retry_at = Some(clock::now().plus_secs(RETRY.as_secs()));
        false
    }

    /// Tells DNS and the inventory what holds.
    async fn publish(&mut self, scope: &Scope) {
        self.clients.store(Arc::new(self.plan.clients.clone()));
        // Whoever changed a rule waits for a word on each device that it is about, even if nothing changed for it.
        let told = |(id, level, until): &&(DeviceId, Level, Option<UnixMillis>)| {
            *scope != Scope::All || self.confirmed.get(id) != Some(&(*level, *until))
        };
        let new = self.plan.levels.iter().filter(told);
        let new: Vec<(DeviceId, Level, Option<UnixMillis>)> = new.copied().collect();
        let by = By { actor: SOURCE, at: clock::now() };
        match self.inventory.confirm_levels(by, &new).await {
            Ok(()) => self.confirmed.extend(new.into_iter().map(|(id, level, until)| (id, (level, until)))),
            Err(error) => {
                tracing::warn!(error = chain(&error), "cannot write down what the kernel enforces");
                self.mark(Scope::All);
            }
        }
        if *scope == Scope::All {
            let known: HashSet<DeviceId> = self.plan.levels.iter().map(|(id, ..)| *id).collect();
            self.forget_levels(|id| !known.contains(id)).await;
        }
    }

    /// Forgets what was confirmed of devices for which the kernel enforces nothing any more.
    async fn forget_levels(&mut self, of: impl Fn(&DeviceId) -> bool) {
        let gone: Vec<DeviceId> = self.confirmed.keys().filter(|id| of(id)).copied().collect();
        let by = By { actor: SOURCE, at: clock::now() };
        match self.inventory.forget_levels(by, &gone).await {
            Ok(()) => self.confirmed.retain(|id, _| !of(id)),
            Err(error) => {
                tracing::warn!(error = chain(&error), "cannot write down that nothing is enforced");
                self.mark(Scope::All);
            }
        }
    }

    /// Every second: did somebody else touch the table, did the clock jump, did interfaces change?
    async fn look(&mut self) {
        let offset = Offset::read();
        if (offset.0 - self.clock.0).abs() > JUMP_MILLIS {
            tracing::info!("the clock was set; the gate is made anew");
            self.kernel = Kernel::Unknown;
            self.book_read = None;
        }
        self.clock = offset;
        if self.book_read.is_none_or(|at| clock::instant() - at >= BOOK_AGE)
            && let Err(error) = self.load_book().await
        {
            tracing::warn!(error = chain(&error), "cannot read the rules; the gate stays as it was");
        }
        let interfaces = interfaces::addresses();
        if interfaces != self.facts.interfaces {
            self.facts.interfaces = interfaces;
            self.mark(Scope::All);
        }
        let Kernel::Holds { generation, skeleton } = &self.kernel else { return };
        let number = self.read_generation();
        if number == *generation {
            return self.look_for_strays().await;
        }
        let intact =
            self.read_back().await.is_ok_and(|(differing, text)| differing == 0 && text == *skeleton);
        if intact {
            let skeleton = skeleton.clone();
            self.kernel = Kernel::Holds { generation: number, skeleton };
            return;
        }
        tracing::warn!("another program changed or removed the gate's rules; they are made anew");
        self.kernel = Kernel::Unknown;
    }

    /// Writes the protocols of exams.
    async fn watch_exams(&mut self) {
        let now = clock::now();
        let rested = self.read_at.is_none_or(|at| now.millis_since(at).abs() >= EXAM_MILLIS);
        if self.plan.sitting.is_empty() || !rested || !matches!(self.kernel, Kernel::Holds { .. }) {
            return;
        }
        self.read_at = Some(now);
        let reading = match read_exams().await {
            Ok(reading) => reading,
            Err(error) => return tracing::warn!(error = chain(&error), "cannot read what exams counted"),
        };
        let news = self.watch.news(&self.plan.sitting, reading, now);
        if news.is_empty() {
            return;
        }
        if let Err(error) = self.inventory.note_sittings(By { actor: SOURCE, at: now }, &news).await {
            tracing::warn!(
                error = chain(&error),
                "cannot write the protocol of an exam; some seconds of it are lost"
            );
        }
    }

    /// Writes down who uses an address that nothing explains.
    async fn look_for_strays(&mut self) {
        let now = clock::now();
        if now.millis_since(self.strays_at).abs() < STRAYS_MILLIS {
            return;
        }
        self.strays_at = now;
        let found = match nft::strays().await {
            Ok(found) => found,
            Err(error) => return tracing::debug!(error = chain(&error), "cannot read the kernel's strays"),
        };
        if self.strays.has_new(&found, &self.facts) {
            self.reload_addresses().await;
        }
        let due = self.strays.due(&found, &self.facts, now);
        if due.is_empty() {
            return;
        }
        let by = By { actor: SOURCE, at: now };
        if let Err(error) = self.inventory.see_strays(by, &due).await {
            tracing::warn!(error = chain(&error), "cannot write down addresses that nothing explains");
            self.strays.forget(&due);
        }
    }

    fn read_generation(&self) -> Option<u32> {
        self.generation.as_ref()?.read().ok()
    }

    /// Opens the addresses of everybody who waits, in one transaction.
    async fn open(&mut self, first: Opening, asked: &mut mpsc::Receiver<Opening>) {
        let now = clock::now();
        let mut batch = Batch::new(now);
        let mut openings = vec![first];
        while openings.len() < OPENINGS_AT_ONCE {
            let Ok(opening) = asked.try_recv() else { break };
            openings.push(opening);
        }
        self.state.opened.iter_mut().for_each(|set| set.forget(now));
        for opening in &openings {
            let ends = now.plus_secs(u64::from(opening.secs.clamp(OPEN_SECS_MIN, OPEN_SECS_MAX)));
            let element = Element { value: Member, ends: Some(ends) };
            for address in &opening.addresses {
                let set = self.state.opened(*address, opening.always);
                let key = Opened(opening.number, *address);
                let lasts = set
                    .map
                    .get(&key)
                    .and_then(|e| e.ends)
                    .is_some_and(|e| ends.millis_since(e) < REFRESH_MILLIS);
                if !lasts && set.map.len() < OPENED_MAX {
                    set.put(&mut batch, key, Some(element));
                }
            }
        }
        let known = matches!(self.kernel, Kernel::Holds { .. });
        if known && (batch.is_empty() || self.transact(&batch).await) {
            for opening in openings {
                // Whoever asked may have given up.
                let _ = opening.opened.send(());
            }
        }
    }

    fn note_missing_interfaces(&mut self, nowhere: &[Cidr]) {
        if nowhere.is_empty() {
            self.problems.remove("networks");
            return;
        }
        let list = nowhere.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let text = format!("no interface of this server has an address in {list}: nobody is locked there");
        let remedy =
            "give an interface an address of the network, or switch the internet rules of the network off";
        self.problems.insert("networks", (text, remedy.into()));
    }

    async fn tell(&mut self) {
        let mut found: Vec<(String, String, String)> = self
            .problems
            .iter()
            .map(|(place, (text, remedy))| (format!("gate/{place}"), text.clone(), remedy.clone()))
            .collect();
        found.sort();
        if found == self.told {
            return;
        }
        let by = By { actor: SOURCE, at: clock::now() };
        match self.inventory.set_notices(by, SOURCE, &found).await {
            Ok(()) => self.told = found,
            Err(error) => tracing::warn!(error = chain(&error), "cannot write notices; trying again"),
        }
    }
}

async fn read_exams() -> Result<Reading, nft::Error> {
    Ok(Reading {
        seen: nft::counts("seen").await?.into_keys().collect(),
        refused: nft::counts("refused").await?,
        dodged: nft::counts("dodged").await?,
    })
}

/// Lets the kernel forward, which it does not by itself, once the rules stand.
fn forward() {
    match std::fs::read_to_string(FORWARD) {
        Ok(text) if text.trim() == "0" => {
            if let Err(error) = std::fs::write(FORWARD, "1") {
                tracing::warn!(%error, "cannot switch on forwarding: nobody reaches the internet through this server");
            }
        }
        _ => {}
    }
}

/// Source of the notices, and name in the change log.
const SOURCE: &str = "gate";
const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";
const LOOK: Duration = Duration::from_secs(1);
/// Rules are read again after so long.
const BOOK_AGE: Duration = Duration::from_secs(3600);
/// Exams are looked at this often.
const EXAM_MILLIS: i64 = 3000;
/// How often the kernel is asked who uses an address that nothing explains.
const STRAYS_MILLIS: i64 = 5_000;
const RETRY: Duration = Duration::from_secs(5);
/// The wall clock may be corrected by this much without anybody noticing.
const JUMP_MILLIS: i64 = 1000;
/// More broken rows than this are not named one by one.
const ROWS_MAX: usize = 20;
const OPENINGS_MAX: usize = 1024;
const OPENINGS_AT_ONCE: usize = 256;
/// Clients keep an address for a while after its time is over.
const OPEN_SECS_MIN: u32 = 60;
const OPEN_SECS_MAX: u32 = 24 * 3600;
/// An address that was opened for almost as long is left as it is.
const REFRESH_MILLIS: i64 = 20_000;
/// As many as the kernel's set holds.
const OPENED_MAX: usize = 262_144;
