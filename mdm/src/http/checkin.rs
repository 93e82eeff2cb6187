//! Check-in: an iPad comes, says how it is reached, goes.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use httpd::Peer;
use inventory::mdm::{Arrival, Arrived, Reachable};

use super::{CHECK_IN_BYTES_MAX, Caller, Refused, udid};
use crate::checkin::{Answer, Authenticate, CheckIn, Message, TokenUpdate};
use crate::ipads::hex;
use crate::push::Address;
use crate::server::facts::short;
use crate::server::{Sealed, Server};

/// `PUT /checkin`
pub(super) async fn check_in(
    State(server): State<Arc<Server>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let caller = Caller::of(&server, &peer, &headers, body, CHECK_IN_BYTES_MAX).await?;
    let CheckIn { channel, message } = CheckIn::parse(&caller.body.bytes, CHECK_IN_BYTES_MAX).map_err(|error| {
        tracing::info!(ipad.id = %caller.known.id, error = &error as &dyn std::error::Error, "a check-in makes no sense");
        Refused::Bad("the check-in makes no sense")
    })?;
    if channel.user.is_some() {
        // Pupils of a Shared iPad have channels of their own; nothing is sent on them.
        return reply(match message {
            Message::DeclarativeManagement { .. } => Answer::NoSuchDeclaration,
            _ => Answer::Taken,
        });
    }
    if let Message::Authenticate(authenticate) = &message {
        arrive(&server, &caller, udid(&channel), authenticate).await?;
        return reply(Answer::Taken);
    }
    caller.enrolled(&server, &channel).await?;
    let answer = match message {
        Message::TokenUpdate(update) => {
            reachable(&server, &caller, &update).await?;
            Answer::Taken
        }
        Message::CheckOut { .. } => {
            server.inventory.mdm_leave(server.by(caller.now), caller.known.id).await?;
            server.ipads.forget(caller.known.id);
            tracing::info!(ipad.id = %caller.known.id, "an iPad left");
            Answer::Taken
        }
        Message::DeclarativeManagement { endpoint, data } => {
            server.declarations(caller.known.id, &endpoint, data.as_deref(), caller.now).await?
        }
        Message::GetBootstrapToken => Answer::BootstrapToken(None),
        Message::SetBootstrapToken { .. } => Answer::Taken,
        Message::UserAuthenticate => Answer::NoUserLogin,
        Message::GetToken(_) => Answer::NotUnderstood,
        Message::Authenticate(_) => Answer::Taken,
    };
    reply(answer)
}

async fn arrive(server: &Server, caller: &Caller, udid: &str, said: &Authenticate) -> Result<(), Refused> {
    let arrival = Arrival {
        fingerprint: &hex(&caller.fingerprint),
        udid,
        serial: &short(said.serial_number.as_deref()),
        model: &short(said.product_name.as_deref().or(said.model.as_deref())),
        os_version: &short(said.os_version.as_deref()),
    };
    if server.profiles.topic().is_none_or(|topic| topic != said.topic.as_str()) {
        return Err(Refused::Bad("it enrolled for another topic"));
    }
    let arrived = server.inventory.mdm_arrive(server.by(caller.now), arrival).await?;
    server.ipads.forget_hardware(caller.known.id, udid);
    match arrived {
        Arrived::Welcome(id) => {
            tracing::info!(ipad.id = %id, "an iPad enrols");
            Ok(())
        }
        Arrived::Refused(why) => Err(Refused::Bad(why)),
    }
}

/// From the first `TokenUpdate` on an iPad is asked everything that is to be known of it.
async fn reachable(server: &Server, caller: &Caller, said: &TokenUpdate) -> Result<(), Refused> {
    let id = caller.known.id;
    let failed = Refused::Internal("a secret cannot be sealed");
    let address = Address { token: said.token.expose().clone(), magic: said.push_magic.expose().clone() };
    let address = serde_json::to_vec(&address).unwrap_or_default();
    let push = server.seal(Sealed::Push, id, &address).ok_or(failed)?;
    let unlock = said.unlock_token.as_ref().map(|token| server.seal(Sealed::Unlock, id, token.expose()));
    let unlock =
        unlock.map(|sealed| sealed.ok_or(Refused::Internal("a secret cannot be sealed"))).transpose()?;
    let awaiting = said.awaiting_configuration;
    let welcome = server.welcome(id, caller.now);
    let how = Reachable { push: &push, unlock_token: unlock.as_deref(), awaiting, welcome: &welcome };
    server.inventory.mdm_reachable(server.by(caller.now), id, how).await?;
    server.ipads.forget(id);
    Ok(())
}

fn reply(answer: Answer) -> Result<Response, Refused> {
    let reply = answer.reply().map_err(|_| Refused::Internal("an answer cannot be written"))?;
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(match reply.content_type {
        Some(kind) => (status, [(header::CONTENT_TYPE, kind)], reply.body).into_response(),
        None => status.into_response(),
    })
}
