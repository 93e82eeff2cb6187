//! Apple's services as the server uses them: the push certificate that is in force, requests that a vendor signs.

use std::sync::Arc;

use credentials::services::push::{PushCertificate, signed_request};
use inventory::UnixMillis;
use inventory::mdm::{AppleKind, AppleService};
use serde_json::json;

use super::Server;
use crate::push::Push;

impl Server {
    /// What is sealed of a service.
    pub(crate) fn unseal_service(&self, kind: AppleKind, sealed: &str) -> Option<Vec<u8>> {
        self.vault.unseal(kind.text().as_bytes(), sealed)
    }

    /// The push certificate in force.
    pub(crate) fn push(&self) -> Option<Arc<Push>> {
        self.push.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Puts a push certificate in force: its topic, and the connection.
    pub(crate) fn use_push(&self, certificate: Option<&PushCertificate>) -> Option<&'static str> {
        let push =
            certificate.map(|certificate| Push::new(self.push_target.clone(), certificate)).transpose();
        let (push, problem) = match push {
            Ok(push) => (push.map(Arc::new), None),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the push certificate cannot be used"
                );
                (None, Some("the push certificate cannot be used; import it again with its key"))
            }
        };
        if let Some(certificate) = certificate {
            self.profiles.use_topic(&certificate.topic);
        }
        *self.push.write().unwrap_or_else(std::sync::PoisonError::into_inner) = push;
        problem
    }

    /// Reads the push certificate of the page again, and signs the request that stands there.
    ///
    /// # Errors
    /// The inventory failed.
    pub(crate) async fn reload_push(&self, now: UnixMillis) -> inventory::Result<()> {
        let service = self.inventory.apple_service(AppleKind::Push).await?;
        if !self.push_of_files {
            let sealed = self.inventory.sealed_apple_secret(AppleKind::Push).await?;
            let secret = sealed.as_ref().and_then(|sealed| self.unseal_service(AppleKind::Push, sealed));
            let found = secret.and_then(|secret| serde_json::from_slice::<PushCertificate>(&secret).ok());
            let unreadable = (sealed.is_some() && found.is_none())
                .then_some("the server cannot read this back; import it again");
            let problem = self.use_push(found.as_ref()).or(unreadable);
            if let Some(service) = service.as_ref().filter(|service| service.problem.as_deref() != problem) {
                self.inventory.note_apple_service(self.by(now), service, &service.state, problem).await?;
            }
        }
        match service {
            Some(service) => self.sign_request(&service, now).await,
            None => Ok(()),
        }
    }

    /// With a vendor certificate the request needs nobody else: what the page shows then is what Apple's portal takes.
    async fn sign_request(&self, service: &AppleService, now: UnixMillis) -> inventory::Result<()> {
        let (Some(vendor), Some(csr)) = (&self.vendor, &service.request) else { return Ok(()) };
        if service.state.get("signed_of") == Some(&json!(csr)) {
            return Ok(());
        }
        match signed_request(csr, vendor) {
            Ok(signed) => {
                let state = json!({ "signed_of": csr, "signed_request": signed });
                let problem = service.problem.as_deref();
                self.inventory.note_apple_service(self.by(now), service, &state, problem).await
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the vendor certificate of [mdm] signs nothing"
                );
                Ok(())
            }
        }
    }
}
