//! iPads that wait in the setup assistant: they are let go when everything that they should have is there, or after ten minutes.

use inventory::UnixMillis;
use inventory::mdm::{Awaiting, Report};
use serde_json::Value;

use super::Server;
use crate::command::Command;

impl Server {
    /// Lets go whoever has what it should have.
    ///
    /// # Errors
    /// The inventory failed; who is left is let go the next time.
    pub(crate) async fn let_go(&self, now: UnixMillis) -> inventory::Result<()> {
        for waiting in self.inventory.awaiting_ipads().await? {
            let reports = self.inventory.ipad_reports(waiting.ipad).await?;
            if !is_done(&waiting, &reports, now) {
                continue;
            }
            let Some(command) = self.wrap(waiting.ipad, &Command::DeviceConfigured, now) else { continue };
            self.inventory.queue_commands(self.by(now), &[command]).await?;
            self.ipads.note_work(waiting.ipad);
            tracing::info!(ipad.id = %waiting.ipad, "an iPad is let out of the setup assistant");
        }
        Ok(())
    }
}

/// Nothing waits for it, and it reported all declarations as valid; or its time is over: a pupil must not be kept out for ever.
fn is_done(waiting: &Awaiting, reports: &[Report], now: UnixMillis) -> bool {
    if now >= waiting.since.plus_secs(PATIENCE_SECS) {
        return true;
    }
    let declared = reports.iter().find(|report| report.kind == "declarations" && report.at >= waiting.since);
    let states = declared.and_then(|report| report.body.as_array());
    let is_valid = |state: &Value| state.get("valid").and_then(Value::as_bool) == Some(true);
    waiting.open_commands == 0 && states.is_some_and(|states| states.iter().all(is_valid))
}

const PATIENCE_SECS: u64 = 600;

#[cfg(test)]
mod tests {
    use inventory::EnrolmentId;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_ipad_waits_for_commands_and_declarations_but_not_for_ever() {
        let waiting =
            |open_commands| Awaiting { ipad: EnrolmentId::random(), since: UnixMillis(1000), open_commands };
        let report = |at: i64, valid: bool| Report {
            kind: "declarations".into(),
            body: json!([{ "id": "a", "valid": true }, { "id": "b", "valid": valid }]),
            at: UnixMillis(at),
        };
        let soon = UnixMillis(60_000);
        assert!(is_done(&waiting(0), &[report(2000, true)], soon));
        for (open, reports) in [
            (1, vec![report(2000, true)]),
            (0, vec![]),
            (0, vec![report(2000, false)]),
            (0, vec![report(500, true)]),
        ] {
            assert!(!is_done(&waiting(open), &reports, soon), "{open} {reports:?}");
            assert!(is_done(&waiting(open), &reports, UnixMillis(601_000)), "{open} {reports:?}");
        }
    }
}
