//! Certificates that end: an iPad gets its enrolment profile again, with a password for one new key of its own.

use inventory::mdm::secret_hash;
use inventory::{EnrolmentId, UnixMillis};

use super::{Profile, Server, fresh_challenge};
use crate::command::{Command, InstallProfile};
use crate::document::Data;
use crate::server::profiles::IDENTIFIER;

impl Server {
    /// Asks iPads whose certificate has less than a third of its life left, each once a day, some at a time.
    ///
    /// # Errors
    /// The inventory failed; the others are asked the next time.
    pub(crate) async fn renew_certificates(&self, now: UnixMillis) -> inventory::Result<()> {
        let asked = UnixMillis(now.0.saturating_sub(DAY_SECS * 1000));
        for ipad in self.inventory.ipads_to_renew(now, asked, AT_ONCE).await? {
            self.renew_certificate(ipad, now).await?;
        }
        Ok(())
    }

    async fn renew_certificate(&self, ipad: EnrolmentId, now: UnixMillis) -> inventory::Result<()> {
        let Some(enrolment) = self.inventory.enrolment(ipad).await? else { return Ok(()) };
        let listed = self.inventory.ade_devices().await?;
        // What could not be taken off when it came must not become so now.
        let locked = listed.iter().any(|device| device.listed && device.serial == enrolment.serial);
        let Some(challenge) = fresh_challenge() else { return Ok(()) };
        // Nor may the account change.
        let account = enrolment.account.and_then(|account| account.parse().ok());
        let wish = Profile { ipad: &ipad.to_string(), challenge: &challenge, locked, account };
        let Some(profile) = self.profiles.enrolment(&wish, now) else { return Ok(()) };
        let command = Command::InstallProfile(InstallProfile {
            identifier: IDENTIFIER.to_owned(),
            payload: Data::from(profile),
        });
        let Some(mut command) = self.wrap(ipad, &command, now) else { return Ok(()) };
        // The next one brings a password of its own.
        command.ends_at = now.plus_secs(DAY_SECS.unsigned_abs());
        self.inventory
            .ask_to_renew(self.by(now), &secret_hash(&challenge), command.ends_at, &command)
            .await?;
        self.ipads.note_work(ipad);
        tracing::info!(ipad.id = %ipad, "an iPad is asked to renew its certificate");
        Ok(())
    }
}

const DAY_SECS: i64 = 86_400;
/// A school that enrolled in one day renews over some hours.
const AT_ONCE: u32 = 50;
