//! What the requests of iPads have in common: the inventory, what is remembered of it, keys and sealed secrets.

mod apple;
mod apps;
mod asked;
mod declarations;
pub(crate) mod facts;
mod profiles;
mod renewal;
mod turns;
mod waiting;
pub(crate) mod wishes;

use std::sync::{Arc, RwLock};

use credentials::services::push::PushCertificate;
use inventory::mdm::{NewCommand, Next, Outcome, Queued, Turn};
use inventory::vault::Vault;
use inventory::{By, EnrolmentId, Inventory, UnixMillis};
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::ca::DeviceCa;
use crate::command::{
    Command, DeviceInformation, InstalledApplicationList, ManagedApplicationList, Priority, ProfileList,
};
use crate::config::Certificates;
use crate::http::Bodies;
use crate::ipads::{Fingerprint, Ipads, hex};
use crate::push::{Push, Target};
use crate::scep;

pub use profiles::ProfilesError;
pub(crate) use profiles::{Profile, Profiles, fresh_challenge};
use turns::Turns;
pub(crate) use turns::{Committer, turns};
pub(crate) use wishes::Wishes;

/// Everything behind the routes.
pub(crate) struct Server {
    pub(crate) inventory: Inventory,
    pub(crate) ipads: Ipads,
    pub(crate) ca: DeviceCa,
    pub(crate) scep: scep::Server,
    pub(crate) profiles: Profiles,
    pub(crate) wishes: Wishes,
    pub(crate) heard: Heard,
    /// Authorities (DER) of devices.
    pub(crate) device_authorities: Vec<Vec<u8>>,
    pub(crate) certificates: Certificates,
    /// iPads have to show their certificate in the handshake.
    pub(crate) mutual_tls: bool,
    /// So many certificates are signed at a time: strangers may ask for them.
    pub(crate) signing: Semaphore,
    /// What iPads send, and what strangers send who want to become some.
    pub(crate) bodies: Bodies,
    pub(crate) strangers: Bodies,
    turns: Turns,
    pub(crate) vault: Vault,
    push: RwLock<Option<Arc<Push>>>,
    push_target: Target,
    /// Files of the configuration go before the page.
    push_of_files: bool,
    /// Certificate, key and chain of an MDM vendor, PEM.
    vendor: Option<Zeroizing<String>>,
}

/// Whoever looks after Apple's services is told here of what changed; the change log is read once for all.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Somebody may have to get or lose an app.
    pub(crate) apps: Notify,
    /// The token or the settings of Apple School Manager are others.
    pub(crate) ade: Notify,
    /// Something of any service is another.
    pub(crate) services: Notify,
}

/// What the configuration says beside the keys.
pub(crate) struct Settings {
    pub(crate) push_target: Target,
    pub(crate) push: Option<PushCertificate>,
    pub(crate) vendor: Option<Zeroizing<String>>,
    pub(crate) device_authorities: Vec<Vec<u8>>,
    pub(crate) certificates: Certificates,
    pub(crate) mutual_tls: bool,
}

/// What a sealed secret is: one never passes for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sealed {
    /// Push token and magic.
    Push,
    /// The token that takes a passcode away.
    Unlock,
    /// A command.
    Command,
}

impl Server {
    pub(crate) fn new(
        inventory: Inventory,
        vault: Vault,
        ca: DeviceCa,
        scep: scep::Server,
        profiles: Profiles,
        wishes: Wishes,
        settings: Settings,
    ) -> (Self, Committer) {
        let (turns, committer) = turns(&inventory);
        let server = Self {
            inventory,
            ipads: Ipads::default(),
            ca,
            scep,
            profiles,
            wishes,
            heard: Heard::default(),
            device_authorities: settings.device_authorities,
            certificates: settings.certificates,
            mutual_tls: settings.mutual_tls,
            signing: Semaphore::new(SIGNING),
            bodies: Bodies::new(BODIES_BYTES_MAX),
            strangers: Bodies::new(STRANGERS_BYTES_MAX),
            turns,
            vault,
            push: RwLock::default(),
            push_target: settings.push_target,
            push_of_files: settings.push.is_some(),
            vendor: settings.vendor,
        };
        server.use_push(settings.push.as_ref());
        (server, committer)
    }

    /// How this daemon signs its changes.
    pub(crate) fn by(&self, at: UnixMillis) -> By<'static> {
        By { actor: crate::NAME, at }
    }

    /// Seals a secret of an iPad.
    pub(crate) fn seal(&self, kind: Sealed, ipad: EnrolmentId, secret: &[u8]) -> Option<String> {
        self.vault.seal(&owner(kind, ipad), secret)
    }

    /// What was sealed for that iPad.
    pub(crate) fn unseal(&self, kind: Sealed, ipad: EnrolmentId, sealed: &str) -> Option<Vec<u8>> {
        self.vault.unseal(&owner(kind, ipad), sealed)
    }

    /// A command, ready for the queue.
    pub(crate) fn wrap(&self, ipad: EnrolmentId, command: &Command, now: UnixMillis) -> Option<NewCommand> {
        let policy = command.policy();
        let lives = policy.time_to_live.map_or(FOR_EVER_SECS, |time| time.as_secs());
        Some(NewCommand {
            enrolment: ipad,
            kind: command.request_type().to_owned(),
            body: self.seal(Sealed::Command, ipad, &serde_json::to_vec(command).ok()?)?,
            replaces: command.queue_key(),
            repeatable: policy.repeatable,
            priority: match policy.priority {
                Priority::Background => 0,
                Priority::Normal => 1,
                Priority::Urgent => 2,
            },
            ends_at: now.plus_secs(lives),
        })
    }

    /// What an iPad is asked when it comes under management.
    pub(crate) fn welcome(&self, ipad: EnrolmentId, now: UnixMillis) -> Vec<NewCommand> {
        questions().iter().filter_map(|command| self.wrap(ipad, command, now)).collect()
    }

    /// Takes what became of a command, and gives the next one as the document that goes to the iPad.
    pub(crate) async fn next(
        &self,
        ipad: EnrolmentId,
        outcome: Option<(inventory::CommandId, Outcome)>,
        now: UnixMillis,
    ) -> inventory::Result<Option<Vec<u8>>> {
        let mut outcome = outcome;
        loop {
            let epoch = self.ipads.epoch(ipad);
            // To find that there is nothing, nobody waits for a commit.
            let next = match outcome.take() {
                None if !self.inventory.has_commands(ipad, now).await? => Next::Nothing,
                outcome => self.turns.take(Turn { ipad, outcome }).await?,
            };
            let queued = match next {
                Next::Command(queued) => queued,
                Next::Later => return Ok(None),
                Next::Nothing => {
                    self.ipads.note_idle(ipad, now.plus_secs(IDLE_SECS), epoch);
                    return Ok(None);
                }
            };
            match self.document(ipad, &queued) {
                Some(document) => return Ok(Some(document)),
                None => {
                    tracing::error!(ipad.id = %ipad, command.id = %queued.id, "a command cannot be read back");
                    let problem = "the server cannot read this command back; ask for it again".to_owned();
                    outcome = Some((queued.id, Outcome::Failed(problem)));
                }
            }
        }
    }

    fn document(&self, ipad: EnrolmentId, queued: &Queued) -> Option<Vec<u8>> {
        let body = self.unseal(Sealed::Command, ipad, &queued.body)?;
        let command: Command = serde_json::from_slice(&body).ok()?;
        command.to_document(Uuid::from_u128(queued.id.0.as_u128())).ok()
    }

    /// An iPad uses its newest certificate: the older ones end.
    pub(crate) async fn retire_older_certificates(
        &self,
        ipad: EnrolmentId,
        fingerprint: &Fingerprint,
        now: UnixMillis,
    ) -> inventory::Result<()> {
        self.inventory.revoke_older_certificates(self.by(now), ipad, &hex(fingerprint)).await?;
        self.ipads.forget(ipad);
        Ok(())
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

/// Everything that is to be known of an iPad. Of its declarations it is told apart from this, as soon as it is known which.
pub(crate) fn questions() -> Vec<Command> {
    vec![
        Command::DeviceInformation(DeviceInformation::inventory(false)),
        Command::SecurityInfo,
        Command::InstalledApplicationList(InstalledApplicationList::default()),
        Command::ManagedApplicationList(ManagedApplicationList::default()),
        Command::ProfileList(ProfileList::default()),
    ]
}

fn owner(kind: Sealed, ipad: EnrolmentId) -> Vec<u8> {
    let kind: &[u8] = match kind {
        Sealed::Push => b"push",
        Sealed::Unlock => b"unlock",
        Sealed::Command => b"command",
    };
    [kind, ipad.0.as_bytes()].concat()
}

const SIGNING: usize = 2;
/// Lists of apps of a hundred iPads at once; what is made of them while they are read takes several times as much.
const BODIES_BYTES_MAX: usize = 24 << 20;
const STRANGERS_BYTES_MAX: usize = 4 << 20;
/// Ten years: what is wanted until somebody takes it back.
const FOR_EVER_SECS: u64 = 10 * 365 * 86_400;
/// How long an iPad is believed to have nothing to do without asking the inventory.
const IDLE_SECS: u64 = 300;
