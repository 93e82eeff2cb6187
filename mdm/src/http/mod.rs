//! What iPads reach: the enrolment profile, SCEP, check-in and commands.
//!
//! | Path             | What for                                                                          |
//! |------------------|-----------------------------------------------------------------------------------|
//! | `/enrol/{token}` | the link of an invitation: the enrolment profile, signed                            |
//! | `/ade`           | the same for iPads of Apple School Manager, which show who made them                |
//! | `/.well-known/…` | where to enrol for whoever signs in with a Managed Apple Account                     |
//! | `/account…`      | signing in, and the enrolment profile for who did                                   |
//! | `/scep`          | the iPad's certificate (RFC 8894), by GET and POST                                  |
//! | `/checkin`       | check-in messages                                                                   |
//! | `/commands`      | the next command                                                                    |
//! | `/profiles/…`    | a profile that a declaration names, signed                                          |
//!
//! Whoever checks in signs the body (`Mdm-Signature`); nothing is parsed before that signature and the certificate behind it are known.
//! With mutual TLS the same certificate was shown in the handshake: what was signed once is of no use to whoever overheard it.
//! Nobody who is enrolled is ever answered with 401: iPads take that for an order to forget us.

mod account;
mod ade;
mod bodies;
mod checkin;
mod commands;
mod enrol;
mod profile;
mod scep;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use httpd::Peer;
use inventory::{UnixMillis, clock};

use crate::channel::{Channel, Enrolment};
use crate::cms::DetachedSignature;
use crate::ipads::{Fingerprint, Known};
use crate::server::Server;

pub(crate) use bodies::Bodies;
use bodies::Held;

/// The routes.
pub(crate) fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/enrol/{token}", get(enrol::profile))
        .route("/ade", post(ade::enrol))
        .route("/.well-known/com.apple.remotemanagement", get(account::discovery))
        .route(account::ENROL, post(account::enrol))
        .route(account::SIGN_IN, get(account::page).post(account::sign_in).layer(account::FORM_LIMIT))
        .route("/scep", get(scep::by_get).post(scep::by_post))
        .route("/checkin", put(checkin::check_in))
        .route("/commands", put(commands::next))
        .route("/profiles/{id}", get(profile::of_rules))
        .route("/profiles/{id}/{ipad}", get(profile::of_one))
        .with_state(server)
}

/// Why a request is not answered as asked.
#[derive(Debug)]
enum Refused {
    /// It makes no sense, or comes from a stranger: 400.
    Bad(&'static str),
    /// What was asked for is not there: 404.
    Absent,
    /// Too much is held for others: 503, and the iPad asks again.
    Busy,
    /// The inventory failed: 503, and the iPad asks again.
    Later(inventory::Error),
    /// We failed: 500.
    Internal(&'static str),
}

impl From<inventory::Error> for Refused {
    fn from(error: inventory::Error) -> Self {
        match error {
            inventory::Error::NotFound { .. } => Self::Bad("it is not enrolled"),
            inventory::Error::Conflict(why) => {
                tracing::warn!(why, "an iPad does not fit into the inventory");
                Self::Bad("it does not fit into the inventory")
            }
            other => Self::Later(other),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Bad(why) => {
                tracing::info!(why, "a request was refused");
                StatusCode::BAD_REQUEST.into_response()
            }
            Self::Absent => StatusCode::NOT_FOUND.into_response(),
            Self::Busy => {
                tracing::warn!("too many long bodies at once; one was refused");
                (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_SECS)]).into_response()
            }
            Self::Later(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the inventory does not answer");
                StatusCode::SERVICE_UNAVAILABLE.into_response()
            }
            Self::Internal(why) => {
                tracing::error!(why, "a request failed");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// Who signed a request.
struct Caller {
    fingerprint: Fingerprint,
    known: Known,
    now: UnixMillis,
    body: Held,
}

impl Caller {
    /// Whose certificate signed the request, and with mutual TLS was shown in the handshake; then reads the body, of `limit` bytes at
    /// most, and verifies the signature over it. Strangers bring no certificate that is known, and their bodies are not even read.
    async fn of(
        server: &Server,
        peer: &Peer,
        headers: &HeaderMap,
        body: Body,
        limit: usize,
    ) -> Result<Self, Refused> {
        let header = headers.get("mdm-signature").ok_or(Refused::Bad("there is no Mdm-Signature"))?;
        let signature = STANDARD.decode(header).map_err(|_| Refused::Bad("Mdm-Signature is no base64"))?;
        let senseless = |_| Refused::Bad("Mdm-Signature makes no sense");
        let signature = DetachedSignature::read(&signature).map_err(senseless)?;
        let now = clock::now();
        let mut signers = signature.fingerprints().map_err(senseless)?;
        if server.mutual_tls {
            let shown = peer.certificates.first();
            let shown = shown.ok_or(Refused::Bad("it shows no certificate in the TLS handshake"))?;
            let shown = credentials::x509::fingerprint(shown);
            signers.retain(|signer| *signer == shown);
        }
        let mut known = None;
        for fingerprint in signers.into_iter().take(CERTIFICATES_MAX) {
            known = server
                .ipads
                .known(&server.inventory, &fingerprint, now)
                .await?
                .map(|known| (fingerprint, known));
            if known.is_some() {
                break;
            }
        }
        let (fingerprint, known) = known
            .ok_or(Refused::Bad("nobody's certificate, one that is over, or not the one that was shown"))?;
        let body = server.bodies.read(body, limit).await?;
        let signer = signature
            .verify(&body.bytes)
            .map_err(|_| Refused::Bad("Mdm-Signature does not belong to the body"))?;
        if signer.fingerprint != fingerprint {
            return Err(Refused::Bad("another certificate signed than the one that is known"));
        }
        Ok(Self { fingerprint, known, now, body })
    }

    /// The enrolled iPad, if the message is about the one that the certificate belongs to.
    async fn enrolled(&self, server: &Server, channel: &Channel) -> Result<(), Refused> {
        let enrolled = self.known.enrolled.as_ref().ok_or(Refused::Bad("it has not authenticated yet"))?;
        if enrolled.state == inventory::mdm::EnrolmentState::Left {
            return Err(Refused::Bad("it enrolled anew since, or left"));
        }
        if enrolled.udid != udid(channel) {
            return Err(Refused::Bad("its certificate belongs to another device"));
        }
        server.ipads.note_seen(self.known.id, self.now);
        if enrolled.renewed {
            server.retire_older_certificates(self.known.id, &self.fingerprint, self.now).await?;
        }
        Ok(())
    }
}

/// Apple's id of the hardware, or of the enrolment on a device that belongs to its user.
fn udid(channel: &Channel) -> &str {
    match &channel.enrolment {
        Enrolment::Device(udid) => udid.as_str(),
        Enrolment::Personal(id) => id.as_str(),
    }
}

const RETRY_SECS: &str = "30";
/// The signer's, and those above it.
const CERTIFICATES_MAX: usize = 4;
/// A request with an 8192-bit key and its chain has 12 kB; in a URL it grows by a third and more.
const SCEP_BYTES_MAX: usize = 64 << 10;
/// A status report of declarative management is the longest.
const CHECK_IN_BYTES_MAX: usize = 2 << 20;
/// A list of a few hundred apps has some 200 kB.
const RESPONSE_BYTES_MAX: usize = 8 << 20;
