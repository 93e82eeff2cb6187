//! The command loop: what became of the last command, and the next one.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use httpd::Peer;
use inventory::CommandId;
use inventory::mdm::Outcome;

use super::{Caller, RESPONSE_BYTES_MAX, Refused};
use crate::response::{self, ChainedError, Report};
use crate::server::{Server, facts};

/// `PUT /commands`
pub(super) async fn next(
    State(server): State<Arc<Server>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let caller = Caller::of(&server, &peer, &headers, body, RESPONSE_BYTES_MAX).await?;
    let said = response::Response::parse(&caller.body.bytes, RESPONSE_BYTES_MAX).map_err(|error| {
        tracing::info!(ipad.id = %caller.known.id, error = &error as &dyn std::error::Error, "a response makes no sense");
        Refused::Bad("the response makes no sense")
    })?;
    caller.enrolled(&server, &said.channel).await?;
    if said.channel.user.is_some() {
        return Ok(StatusCode::OK.into_response());
    }
    let id = caller.known.id;
    let outcome = match &said.report {
        Report::Idle if server.ipads.is_idle(id, caller.now) => return Ok(StatusCode::OK.into_response()),
        Report::Idle => None,
        // A command that could not even be read has no id; handed out again and again, it is given up.
        Report::Done { command: None, .. } => None,
        Report::Done { command: Some(command), outcome } => {
            let outcome = match outcome {
                response::Outcome::Acknowledged => match facts::of(&said) {
                    Ok(found) => {
                        if let Some(found) = found.as_ref().filter(|found| found.facts.is_some()) {
                            server.wishes.heed_facts(id, &found.body);
                        }
                        Outcome::Done(found)
                    }
                    Err(error) => Outcome::Unreadable(error.to_string()),
                },
                response::Outcome::Failed(chain) => Outcome::Failed(problem(chain, "the iPad refused it")),
                response::Outcome::NotUnderstood(chain) => {
                    Outcome::Failed(problem(chain, "the iPad does not know this command"))
                }
                response::Outcome::NotNow => Outcome::NotNow,
            };
            Some((CommandId(*command), outcome))
        }
    };
    match server.next(id, outcome, caller.now).await? {
        Some(document) => Ok(([(header::CONTENT_TYPE, "application/xml")], document).into_response()),
        None => Ok(StatusCode::OK.into_response()),
    }
}

/// The chain of an error, the innermost last.
fn problem(chain: &[ChainedError], otherwise: &str) -> String {
    let link = |link: &ChainedError| {
        let text = link.english.as_ref().or(link.localized.as_ref()).map_or("", String::as_str);
        format!("{text} ({} {})", link.domain, link.code).trim().to_owned()
    };
    let text = chain.iter().map(link).collect::<Vec<_>>().join("; ");
    let text: String = text.chars().take(PROBLEM_CHARS_MAX).collect();
    if text.is_empty() { otherwise.to_owned() } else { text }
}

const PROBLEM_CHARS_MAX: usize = 500;
