//! What declarative management answers: each iPad gets the declarations that follow from what the inventory says of it.

use inventory::{EnrolmentId, UnixMillis};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::Server;
use crate::checkin::Answer;
use crate::declarative::{DeclarationState, Endpoint, Reason, StatusReport, Validity};

impl Server {
    /// Answers one request of declarative management.
    ///
    /// # Errors
    /// The inventory failed.
    pub(crate) async fn declarations(
        &self,
        ipad: EnrolmentId,
        endpoint: &Endpoint,
        data: Option<&[u8]>,
        now: UnixMillis,
    ) -> inventory::Result<Answer> {
        if *endpoint == Endpoint::Status {
            return self.status(ipad, data.unwrap_or_default(), now).await;
        }
        let Some(wish) = self.wish(ipad).await? else { return Ok(Answer::NotUnderstood) };
        let at = OffsetDateTime::from_unix_timestamp(now.0 / 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Ok(match wish.declarations.answer(endpoint, at) {
            Some(answer) => Answer::Declarative(answer.to_string().into_bytes()),
            None => Answer::NoSuchDeclaration,
        })
    }

    /// Keeps what an iPad reports. A report that makes no sense is answered as taken: the iPad would send it for ever.
    async fn status(&self, ipad: EnrolmentId, data: &[u8], now: UnixMillis) -> inventory::Result<Answer> {
        match StatusReport::parse(data) {
            Ok(report) => {
                self.note_apps(ipad, &report, now).await?;
                if let Some(states) = &report.declarations {
                    let states: Vec<Value> = states.iter().map(state).collect();
                    self.inventory
                        .keep_ipad_report(self.by(now), ipad, "declarations", &Value::Array(states))
                        .await?;
                }
            }
            Err(error) => {
                tracing::info!(ipad.id = %ipad, error = &error as &dyn std::error::Error, "a status report makes no sense");
            }
        }
        Ok(Answer::Taken)
    }
}

fn state(state: &DeclarationState) -> Value {
    let reason = |reason: &Reason| reason.description.clone().unwrap_or_else(|| reason.code.clone());
    json!({
        "id": state.identifier,
        "active": state.active,
        "valid": state.validity == Validity::Valid,
        "reasons": state.reasons.iter().map(reason).collect::<Vec<_>>(),
    })
}
