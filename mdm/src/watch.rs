//! What may end or change while the server runs: certificates and tokens, and the files of the TLS certificate.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use credentials::services::{ends_at, pem_contents};
use httpd::Named;
use inventory::mdm::AppleKind;
use inventory::{UnixMillis, clock};

use crate::expiry::{Expiring, Kind, notices};
use crate::push::Trouble;
use crate::server::Server;

/// The TLS certificate of files.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) named: Arc<Named>,
}

/// What does not change while the server runs.
#[derive(Debug, Clone)]
pub(crate) struct Fixed {
    pub(crate) files: Option<Files>,
    /// The school's authority, DER.
    pub(crate) authority: Vec<u8>,
}

/// Tells the admin what ends soon, and reads the certificate's files again when they changed.
pub(crate) async fn keep(server: Arc<Server>, fixed: Fixed, look: Duration) {
    let mut known = None;
    loop {
        let now = clock::now();
        let mut found = Vec::new();
        let mut all = always(&server, &fixed);
        if let Some(files) = &fixed.files {
            match read_again(files, &mut known).await {
                Ok(ends_at) => all.extend(ends_at.map(|ends_at| Expiring { what: Kind::Tls, ends_at })),
                Err(problem) => found.push(unusable(&problem)),
            }
        }
        if let Err(error) = tell(&server, all, found, now).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot tell what ends soon; trying again"
            );
        }
        tokio::select! {
            () = tokio::time::sleep(look) => {}
            () = server.heard.services.notified() => {}
        }
    }
}

fn always(server: &Server, fixed: &Fixed) -> Vec<Expiring> {
    let of = |what: Kind, der: &[u8]| {
        let ends_at = ends_at(der).ok().map(|secs| UnixMillis(secs.saturating_mul(1000)))?;
        Some(Expiring { what, ends_at })
    };
    let authorities = [of(Kind::Authority, &fixed.authority), of(Kind::Devices, server.ca.certificate())];
    let push = server.push().map(|push| Expiring { what: Kind::Push, ends_at: push.ends_at() });
    authorities.into_iter().flatten().chain(push).collect()
}

async fn tell(
    server: &Server,
    mut all: Vec<Expiring>,
    mut found: Vec<(String, String, String)>,
    now: UnixMillis,
) -> inventory::Result<()> {
    for service in server.inventory.apple_services().await? {
        let what = match service.kind {
            // The one in force may be of files.
            AppleKind::Push => continue,
            AppleKind::Ade => Kind::Ade,
            AppleKind::Apps => Kind::Apps,
        };
        if let Some(ends_at) = service.ends_at.filter(|_| service.imported) {
            all.push(Expiring { what, ends_at });
        }
    }
    found.extend(notices(&all, now));
    if let Some(trouble) = server.push().filter(|push| now < push.ends_at()).and_then(|push| push.trouble()) {
        let text = match trouble {
            Trouble::Silent => "Apple's push service is not reached: iPads are not woken",
            Trouble::Refusing => "Apple's push service takes nothing: iPads are not woken",
        };
        found.push(("apple/push-service".into(), text.into(), REACH.into()));
    }
    server.inventory.set_notices(server.by(now), SOURCE, &found).await
}

type Known = Option<(Vec<u8>, Vec<u8>)>;

/// Puts the certificate in force if it is another one than before; gives when it ends.
async fn read_again(files: &Files, known: &mut Known) -> Result<Option<UnixMillis>, String> {
    let now = (read(&files.certificate).await?, read(&files.key).await?);
    if known.as_ref() != Some(&now) {
        files.named.replace(&now.0, &now.1).map_err(|error| error.to_string())?;
        tracing::info!(file = %files.certificate.display(), "the certificate of [mdm] is in force");
        *known = Some(now);
    }
    let first = known
        .as_ref()
        .and_then(|(certificate, _)| pem_contents(&String::from_utf8_lossy(certificate)).into_iter().next());
    Ok(first.and_then(|der| ends_at(&der).ok()).map(|secs| UnixMillis(secs.saturating_mul(1000))))
}

async fn read(path: &Path) -> Result<Vec<u8>, String> {
    tokio::fs::read(path).await.map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn unusable(problem: &str) -> (String, String, String) {
    tracing::warn!(problem, "the certificate of [mdm] cannot be used; the one before stays in force");
    let text = format!("the certificate of [mdm] cannot be used: {problem}");
    ("certificate/mdm".into(), text, "correct the files that `certificate` and `key` in [mdm] name".into())
}

const REACH: &str = "let this server reach api.push.apple.com (TCP 443); what waits is delivered afterwards";
/// Source of the notices.
const SOURCE: &str = "apple";
