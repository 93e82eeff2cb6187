//! SCEP: the iPad's certificate for a challenge, or for its old certificate.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use inventory::mdm::{Certified, NewCertificate, secret_hash};
use inventory::{EnrolmentId, UnixMillis, clock};
use serde::Deserialize;

use super::{Refused, SCEP_BYTES_MAX};
use crate::ca::{Subject, fresh_serial};
use crate::ipads::hex;
use crate::scep::{FailInfo, Kind, MEDIA_TYPE, Request, decode_get};
use crate::server::Server;
use crate::x509::fingerprint;

/// The query of every SCEP request.
#[derive(Deserialize)]
pub(super) struct Operation {
    operation: String,
    #[serde(default)]
    message: String,
}

/// `GET /scep?operation=…`
pub(super) async fn by_get(
    State(server): State<Arc<Server>>,
    Query(asked): Query<Operation>,
) -> Result<Response, Refused> {
    match asked.operation.as_str() {
        "GetCACaps" => {
            Ok(([(header::CONTENT_TYPE, "text/plain")], server.scep.capabilities()).into_response())
        }
        "GetCACert" => {
            let answer = server.scep.ca_certificates();
            let answer = answer
                .map_err(|_| Refused::Internal("the certificates of the authority cannot be written"))?;
            Ok(([(header::CONTENT_TYPE, answer.media_type)], answer.body).into_response())
        }
        "PKIOperation" => {
            let message =
                decode_get(&asked.message).map_err(|_| Refused::Bad("the SCEP message is no base64"))?;
            operate(&server, &message).await
        }
        _ => Err(Refused::Bad("there is no such SCEP operation")),
    }
}

/// `POST /scep?operation=PKIOperation`
pub(super) async fn by_post(
    State(server): State<Arc<Server>>,
    Query(asked): Query<Operation>,
    body: Body,
) -> Result<Response, Refused> {
    if asked.operation != "PKIOperation" {
        return Err(Refused::Bad("there is no such SCEP operation by POST"));
    }
    let body = server.strangers.read(body, SCEP_BYTES_MAX).await?;
    operate(&server, &body.bytes).await
}

async fn operate(server: &Server, message: &[u8]) -> Result<Response, Refused> {
    let _turn = server.signing.acquire().await.map_err(|_| Refused::Internal("nobody signs any more"))?;
    let answer = match server.scep.request(message) {
        Ok(request) => match certify(server, &request).await? {
            Some(certificate) => server.scep.grant(&request, &certificate),
            None => server.scep.refuse(&request.transaction, FailInfo::BadRequest),
        },
        Err(rejection) => {
            tracing::info!(error = &rejection.error as &dyn std::error::Error, "a SCEP request was refused");
            let (transaction, info) = rejection.answer.ok_or(Refused::Bad("the SCEP message is broken"))?;
            server.scep.refuse(&transaction, info)
        }
    };
    let answer = answer.map_err(|_| Refused::Internal("a SCEP answer cannot be written"))?;
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], answer).into_response())
}

/// The certificate, once the inventory knows it; `None` when there is none for this request.
async fn certify(server: &Server, request: &Request) -> Result<Option<Vec<u8>>, Refused> {
    let now = clock::now();
    match request.kind {
        Kind::Initial => {
            let Some(challenge) = &request.challenge else { return Ok(None) };
            let challenge = secret_hash(challenge.as_str());
            let Some(found) = server.inventory.challenge(&challenge, now).await? else {
                return certify_for_wlan(server, request, &challenge, now).await;
            };
            let (certificate, sha256, serial, ends_at) = issue(server, request, found.enrolment, now)?;
            let new = NewCertificate { fingerprint: &sha256, serial: &serial, ends_at };
            let key = hex(&fingerprint(&request.public_key));
            let done = server.inventory.certify(server.by(now), &challenge, &key, new).await?;
            Ok((done == Certified::Yes).then_some(certificate))
        }
        Kind::Renewal => {
            let old = &request.transaction.signer;
            let known = server.ipads.known(&server.inventory, &old.fingerprint, now).await?;
            let Some(known) = known else { return Ok(None) };
            let (certificate, sha256, serial, ends_at) = issue(server, request, known.id, now)?;
            let new = NewCertificate { fingerprint: &sha256, serial: &serial, ends_at };
            let done =
                server.inventory.renew_certificate(server.by(now), &hex(&old.fingerprint), new).await?;
            Ok((done == Certified::Yes).then_some(certificate))
        }
    }
}

/// The same for the WLAN: such a certificate opens nothing here.
async fn certify_for_wlan(
    server: &Server,
    request: &Request,
    challenge: &str,
    now: UnixMillis,
) -> Result<Option<Vec<u8>>, Refused> {
    let Some(ipad) = server.inventory.wlan_challenge(challenge, now).await? else { return Ok(None) };
    let (certificate, sha256, serial, ends_at) = issue(server, request, ipad, now)?;
    let new = NewCertificate { fingerprint: &sha256, serial: &serial, ends_at };
    let key = hex(&fingerprint(&request.public_key));
    let done = server.inventory.certify_for_wlan(server.by(now), challenge, &key, new).await?;
    Ok((done == Certified::Yes).then_some(certificate))
}

fn issue(
    server: &Server,
    request: &Request,
    enrolment: EnrolmentId,
    now: UnixMillis,
) -> Result<(Vec<u8>, String, String, UnixMillis), Refused> {
    let failed = |_| Refused::Internal("a certificate cannot be made");
    let ends_at = now.plus_secs(server.certificates.life.as_secs());
    let time = |at: UnixMillis| time::OffsetDateTime::from_unix_timestamp(at.0 / 1000);
    let unusable = |_| Refused::Internal("the clock is out of range");
    let serial = fresh_serial().map_err(failed)?;
    let subject = Subject {
        enrolment: &enrolment.to_string(),
        device_serial: None,
        organisation: server.profiles.school(),
    };
    // A day back for clocks that run late.
    let from = time(UnixMillis(now.0 - 86_400_000)).map_err(unusable)?;
    let certificate = server
        .ca
        .issue(&request.public_key, &subject, &serial, from, time(ends_at).map_err(unusable)?)
        .map_err(failed)?;
    let sha256 = hex(&fingerprint(&certificate));
    Ok((certificate, sha256, hex(&serial), ends_at))
}
