//! Answering FreeRADIUS: what it asks over HTTP on loopback becomes questions to the inventory and a decision.
//!
//! | Path             | When                                                    | Answers                                   |
//! |------------------|---------------------------------------------------------|-------------------------------------------|
//! | `/client`        | an address asks for the first time in a minute          | its secret                                |
//! | `/password`      | a password came through a tunnel (TTLS with PAP)        | who that is                               |
//! | `/wifi-password` | MSCHAPv2 begins inside a tunnel                         | what the answer is checked against        |
//! | `/joined`        | somebody proved who they are, now or with a kept session| whether they join, and into which network |
//! | `/device`        | a card asks without an account                          | its key, which the access point checks    |
//! | `/accounting`    | an access point tells who is there                      | nothing                                   |
//! | `/refused`       | FreeRADIUS turned somebody away                         | nothing                                   |

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use inventory::password::Checker;
use inventory::throttle::Throttle;
use inventory::vault::Vault;
use inventory::wlan::{
    GUEST_NAMES, Joined, Joiner, Kind, Method, Outcome, Refusal, Refused, StationOwner, Verdict, WithSecret,
    access_point_of, decide,
};
use inventory::{AccessPointId, By, Inventory, MacAddr, UnixMillis, User, UserId, VoucherId, clock};

use crate::attributes::{Answer, Attributes, SUBJECT};
use crate::subject::{Subject, proof};
use crate::{NAME, nt};

/// Why there is no answer that FreeRADIUS could use.
#[derive(Debug)]
pub(crate) enum No {
    /// Somebody is turned away, and it was noted why.
    Refused,
    /// Nobody we know.
    Unknown,
    /// We cannot say.
    Unavailable,
}

impl From<inventory::Error> for No {
    fn from(error: inventory::Error) -> Self {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "a question of the WLAN cannot be answered"
        );
        Self::Unavailable
    }
}

/// What answers need.
pub(crate) struct Desk {
    inventory: Inventory,
    vault: Vault,
    checker: Checker,
    throttle: Mutex<Throttle<MacAddr>>,
    access_points: tokio::sync::Mutex<Option<(Instant, AccessPoints)>>,
    notes: Mutex<Notes>,
}

type AccessPoints = Arc<Vec<WithSecret>>;

/// What happened lately and is not yet written down.
#[derive(Default)]
struct Notes {
    refused: Vec<Refused>,
    /// Cards about which we heard: when, the name that was given, and whether we turned them away ourselves.
    heard: VecDeque<(MacAddr, UnixMillis, String, bool)>,
}

impl Desk {
    pub(crate) fn new(inventory: Inventory, vault: Vault) -> std::io::Result<Self> {
        Ok(Self {
            inventory,
            vault,
            checker: Checker::start()?,
            throttle: Mutex::default(),
            access_points: tokio::sync::Mutex::new(None),
            notes: Mutex::default(),
        })
    }

    /// The secret of whoever asks from that address.
    pub(crate) async fn client(&self, question: &Attributes) -> Result<Answer, No> {
        let source = question.source().ok_or(No::Unknown)?;
        let all = self.access_points().await?;
        let (found, secret) = access_point_of(&all, source, |(one, _)| one.range).ok_or(No::Unknown)?;
        let address = match source {
            IpAddr::V4(_) => "control:FreeRADIUS-Client-IP-Address",
            IpAddr::V6(_) => "control:FreeRADIUS-Client-IPv6-Address",
        };
        Ok(Answer::default()
            .with(address, source.to_string())
            .with("control:FreeRADIUS-Client-Require-MA", "yes")
            .with("control:FreeRADIUS-Client-Secret", secret.as_str())
            .with("control:FreeRADIUS-Client-Shortname", found.id.to_string())
            .with("control:FreeRADIUS-Client-NAS-Type", "other"))
    }

    /// Who it is whose password came through a tunnel.
    pub(crate) async fn password(&self, question: &Attributes) -> Result<Answer, No> {
        let (name, password) = (question.text("User-Name"), question.text("User-Password"));
        let mac = self.station(question, &name)?;
        let now = clock::now();
        if self.throttle().attempt(now, &name, mac).is_err() {
            return Err(self.refuse(question, &name, Refusal::TooManyTries).await);
        }
        let subject = if GUEST_NAMES.contains(&name.trim().to_lowercase().as_str()) {
            let voucher = self.inventory.voucher_by_code(&password).await?;
            voucher.map(|voucher| Subject::Guest(voucher.id))
        } else {
            let user = self.inventory.user_by_name(&name).await?;
            let hash = user.as_ref().map(|user| user.password_hash.as_str());
            let good = self.checker.check(&password, hash).await.map_err(|_| No::Unavailable)?;
            user.filter(|_| good).map(|user| Subject::person(user.id, Method::Password, &user.password_hash))
        };
        match subject {
            Some(subject) => {
                self.throttle().succeeded(now, &name, mac);
                Ok(Answer::default().with(&format!("reply:{SUBJECT}"), subject.to_string()))
            }
            None => Err(self.refuse(question, &name, Refusal::WrongPassword).await),
        }
    }

    /// What an answer of MSCHAPv2 is checked against: never the account's password.
    pub(crate) async fn wifi_password(&self, question: &Attributes) -> Result<Answer, No> {
        let name = question.text("User-Name");
        let mac = self.station(question, &name)?;
        if !self.inventory.wlan().await?.0.peap {
            return Err(self.refuse(question, &name, Refusal::MethodOff).await);
        }
        // FreeRADIUS checks the answer itself: every attempt counts until `/joined` takes it back.
        if self.throttle().attempt(clock::now(), &name, mac).is_err() {
            return Err(self.refuse(question, &name, Refusal::TooManyTries).await);
        }
        let user = self.inventory.user_by_name(&name).await?;
        let password = match &user {
            Some(user) => self.inventory.wifi_password(&self.vault, user.id).await?,
            None => None,
        };
        let Some((user, password)) = user.zip(password) else {
            return Err(self.refuse(question, &name, Refusal::Unknown).await);
        };
        let hash: String = nt::hash(&password).iter().map(|byte| format!("{byte:02x}")).collect();
        let subject = Subject::person(user.id, Method::WifiPassword, &password);
        Ok(Answer::default()
            .with("control:NT-Password", format!("0x{hash}"))
            .with(&format!("reply:{SUBJECT}"), subject.to_string()))
    }

    /// Whether somebody joins who proved who they are.
    pub(crate) async fn joined(&self, question: &Attributes) -> Result<Answer, No> {
        let mac = self.station(question, &question.text("User-Name"))?;
        let now = clock::now();
        let (joiner, method) = match self.proved(question, now).await? {
            Ok(known) => known,
            Err((name, why)) => return Err(self.refuse(question, &name, why).await),
        };
        let outcome = self.outcome(&joiner, mac, now).await?;
        match outcome.verdict {
            Verdict::Refuse(why) => Err(self.refuse(question, &joiner.name, why).await),
            Verdict::Join { vlan, until } => {
                if method == Method::WifiPassword {
                    self.throttle().succeeded(now, &joiner.name, mac);
                }
                let access_point = self.access_point(question).await?;
                let joined = Joined { mac, owner: joiner.owner, method, vlan, access_point };
                self.inventory.note_joined(By { actor: NAME, at: now }, joined).await?;
                let answer = Answer::default().with("reply:User-Name", joiner.name);
                Ok(answer.joined(vlan, seconds_until(until, now)))
            }
        }
    }

    /// The key of a card without an account. That somebody names the card proves nothing; the access point asks for the key.
    pub(crate) async fn device(&self, question: &Attributes) -> Result<Answer, No> {
        let name = question.text("User-Name");
        let mac = self.station(question, &name)?;
        let device = match name.parse::<MacAddr>() {
            Ok(named) if named == mac => self.inventory.keyed_device(mac).await?,
            _ => None,
        };
        let Some(device) = device else { return Err(self.refuse(question, &name, Refusal::Unknown).await) };
        let key = self.inventory.device_key(&self.vault, device).await?.ok_or(No::Unknown)?;
        let joiner = self.inventory.wlan_device(device, Kind::Appliance).await?.ok_or(No::Unknown)?;
        let now = clock::now();
        match self.outcome(&joiner, mac, now).await?.verdict {
            Verdict::Refuse(why) => Err(self.refuse(question, &joiner.name, why).await),
            Verdict::Join { vlan, until } => Ok(Answer::default()
                .with("control:Auth-Type", "Accept")
                .with("reply:Tunnel-Password", key)
                .joined(vlan, seconds_until(until, now))),
        }
    }

    /// Takes down what an access point reports (RFC 2866 section 5.1).
    pub(crate) async fn accounting(&self, question: &Attributes) -> Result<Answer, No> {
        let Some(mac) = question.station() else { return Ok(Answer::default()) };
        let status = question.text("Acct-Status-Type");
        let left = matches!(status.as_str(), "Stop" | "2");
        let begins = matches!(status.as_str(), "Start" | "1");
        if !left && !begins && !matches!(status.as_str(), "Interim-Update" | "Alive" | "3") {
            return Ok(Answer::default());
        }
        let by = By { actor: NAME, at: clock::now() };
        let access_point = self.access_point(question).await?;
        // A device with a key of its own is there when it knew the key: then the access point begins to count.
        if let (true, Some(device)) = (begins, self.inventory.keyed_device(mac).await?) {
            let owner = StationOwner::Device(device);
            let joined = Joined { mac, owner, method: Method::DeviceKey, vlan: None, access_point };
            self.inventory.note_joined(by, joined).await?;
        } else {
            self.inventory.note_station(by, mac, access_point, left).await?;
        }
        Ok(Answer::default())
    }

    /// FreeRADIUS turned somebody away. Where that was not our doing, handshake or answer were wrong.
    pub(crate) async fn refused(&self, question: &Attributes) -> Result<Answer, No> {
        let Some(mac) = question.station() else { return Ok(Answer::default()) };
        let lately = clock::now().0 - LATELY_MILLIS;
        let heard =
            self.notes().heard.iter().rev().find(|(card, at, ..)| *card == mac && at.0 > lately).cloned();
        match heard {
            Some((.., true)) => {}
            Some((_, _, name, false)) => {
                self.refuse(question, &name, Refusal::WrongPassword).await;
            }
            None => {
                self.refuse(question, &question.text("User-Name"), Refusal::NotAgreed).await;
            }
        }
        Ok(Answer::default())
    }

    /// Writes down who was turned away since the last time.
    pub(crate) async fn write_refusals(&self) {
        let refused = std::mem::take(&mut self.notes().refused);
        if refused.is_empty() {
            return;
        }
        if let Err(error) = self.inventory.note_refusals(clock::now(), &refused).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot note who was turned away");
        }
    }

    /// Who it is, and how that was proved; or what is wrong with it, and what they call themselves.
    async fn proved(
        &self,
        question: &Attributes,
        now: UnixMillis,
    ) -> Result<Result<(Joiner, Method), (String, Refusal)>, No> {
        let named = question.text("User-Name");
        match Subject::parse(&question.text(SUBJECT)) {
            Some(Subject::Guest(id)) => self.guest(id, named).await,
            Some(Subject::Person { id, method, proof }) => self.person(id, method, &proof, named).await,
            None if matches!(question.text("EAP-Type").as_str(), "TLS" | "EAP-TLS" | "13") => {
                self.certificate(&question.text("TLS-Client-Cert-Serial"), now, named).await
            }
            None => Ok(Err((named, Refusal::Unknown))),
        }
    }

    async fn guest(
        &self,
        id: VoucherId,
        named: String,
    ) -> Result<Result<(Joiner, Method), (String, Refusal)>, No> {
        let voucher = self.inventory.vouchers().await?.into_iter().find(|voucher| voucher.id == id);
        Ok(voucher.map(|voucher| (voucher.joiner(), Method::Password)).ok_or((named, Refusal::Unknown)))
    }

    async fn person(
        &self,
        id: UserId,
        method: Method,
        shown: &str,
        named: String,
    ) -> Result<Result<(Joiner, Method), (String, Refusal)>, No> {
        let Some(user) = self.inventory.user(id).await? else { return Ok(Err((named, Refusal::Unknown))) };
        let secret = match method {
            Method::WifiPassword if !self.inventory.wlan().await?.0.peap => {
                return Ok(Err((user.name, Refusal::MethodOff)));
            }
            Method::WifiPassword => self.inventory.wifi_password(&self.vault, id).await?,
            _ => Some(user.password_hash.clone()),
        };
        if secret.is_none_or(|secret| proof(&secret) != shown) {
            return Ok(Err((user.name, Refusal::WrongPassword)));
        }
        self.joiner_of(user).await.map(|joiner| Ok((joiner, method)))
    }

    async fn joiner_of(&self, user: User) -> Result<Joiner, No> {
        self.inventory.wlan_person(user.id).await?.ok_or(No::Unknown)
    }

    async fn certificate(
        &self,
        serial: &str,
        now: UnixMillis,
        named: String,
    ) -> Result<Result<(Joiner, Method), (String, Refusal)>, No> {
        let Some(owner) = self.inventory.wlan_certificate_owner(serial).await? else {
            return Ok(Err((named, Refusal::Unknown)));
        };
        if owner.revoked {
            return Ok(Err((named, Refusal::Revoked)));
        }
        if owner.ends_at <= now {
            return Ok(Err((named, Refusal::Ended)));
        }
        let kind = self.inventory.wlan_kind_of(owner.device).await?;
        let joiner = self.inventory.wlan_device(owner.device, kind).await?;
        Ok(joiner.map(|joiner| (joiner, Method::Certificate)).ok_or((named, Refusal::Unknown)))
    }

    async fn outcome(&self, joiner: &Joiner, mac: MacAddr, now: UnixMillis) -> Result<Outcome, No> {
        let (settings, _) = self.inventory.wlan().await?;
        let moment = self.inventory.wlan_moment(joiner.owner, Some(mac), now).await?;
        Ok(decide(&settings, joiner, &moment))
    }

    /// The card that asks. Without one nobody can be told from another.
    fn station(&self, question: &Attributes, name: &str) -> Result<MacAddr, No> {
        let mac = question.station().ok_or(No::Unknown)?;
        self.hear(mac, name, false);
        Ok(mac)
    }

    fn hear(&self, mac: MacAddr, name: &str, refused: bool) {
        let mut notes = self.notes();
        if notes.heard.len() >= HEARD_MAX {
            notes.heard.pop_front();
        }
        notes.heard.push_back((mac, clock::now(), name.chars().take(64).collect(), refused));
    }

    async fn refuse(&self, question: &Attributes, name: &str, reason: Refusal) -> No {
        let Some(mac) = question.station() else { return No::Refused };
        // Not knowing where it was is no reason to forget that it was.
        let access_point = self.access_point(question).await.unwrap_or_default();
        tracing::info!(station = %mac, ?reason, "turned away from the WLAN");
        self.hear(mac, name, true);
        let mut notes = self.notes();
        if notes.refused.len() < REFUSED_MAX {
            notes.refused.push(Refused {
                at: clock::now(),
                mac,
                name: name.to_owned(),
                reason,
                access_point,
            });
        }
        No::Refused
    }

    async fn access_point(&self, question: &Attributes) -> Result<Option<AccessPointId>, No> {
        let Some(source) = question.source() else { return Ok(None) };
        let all = self.access_points().await?;
        let Some(id) = access_point_of(&all, source, |(one, _)| one.range).map(|(one, _)| one.id) else {
            return Ok(None);
        };
        self.inventory.note_access_point(id, clock::now()).await?;
        Ok(Some(id))
    }

    /// All access points as they were a moment ago: strangers must not make us read the database for every packet.
    async fn access_points(&self) -> Result<AccessPoints, No> {
        let mut kept = self.access_points.lock().await;
        let now = clock::instant();
        if let Some((at, all)) = kept.as_ref()
            && now.saturating_duration_since(*at) < ACCESS_POINTS_FOR
        {
            return Ok(all.clone());
        }
        let (all, unreadable) = self.inventory.access_point_secrets(&self.vault).await?;
        for problem in unreadable {
            tracing::error!(error = &problem as &dyn std::error::Error, "an access point is not answered");
        }
        let all = Arc::new(all);
        *kept = Some((now, all.clone()));
        Ok(all)
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle<MacAddr>> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When they are asked again: whoever is locked meanwhile is out within the hour, and the gate locks at once.
fn seconds_until(until: Option<UnixMillis>, now: UnixMillis) -> u64 {
    let left = until.map_or(i64::MAX, |until| until.millis_since(now) / 1000);
    u64::try_from(left).unwrap_or(0).clamp(SESSION_SECS_MIN, SESSION_SECS_MAX)
}

const SESSION_SECS_MIN: u64 = 60;
const SESSION_SECS_MAX: u64 = 3600;
const ACCESS_POINTS_FOR: Duration = Duration::from_secs(2);
/// A sign-in and FreeRADIUS' answer to it are less than this apart.
const LATELY_MILLIS: i64 = 15_000;
const HEARD_MAX: usize = 1024;
const REFUSED_MAX: usize = 200;
