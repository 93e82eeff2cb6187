//! The web server's REST API as the demo uses it: signed in as the admin that `init` made.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// A signed-in session.
pub(super) struct Api {
    agent: ureq::Agent,
    base: String,
}

impl Api {
    /// Signs in. `ca_pem` is the school's certificate, the only one that is trusted.
    pub(super) fn sign_in(base: &str, ca_pem: &str, name: &str, password: &str) -> anyhow::Result<Self> {
        let root = Certificate::from_pem(ca_pem.as_bytes()).context("the school's certificate")?;
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(vec![root])))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(Duration::from_secs(10)))
            .http_status_as_error(false)
            .build()
            .new_agent();
        let api = Self { agent, base: base.to_owned() };
        api.post("/session", &json!({ "name": name, "password": password })).context("cannot sign in")?;
        Ok(api)
    }

    pub(super) fn get(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.agent.get(format!("{}/api/v1{path}", self.base)).call();
        read(path, answer)
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = self.agent.post(format!("{}/api/v1{path}", self.base)).send_json(body);
        read(path, answer)
    }

    /// Sends a file.
    pub(super) fn send(&self, path: &str, file: &[u8]) -> anyhow::Result<Value> {
        let request = self.agent.post(format!("{}/api/v1{path}", self.base));
        read(path, request.content_type("application/octet-stream").send(file))
    }

    pub(super) fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = self.agent.put(format!("{}/api/v1{path}", self.base)).send_json(body);
        read(path, answer)
    }

    pub(super) fn delete(&self, path: &str) -> anyhow::Result<()> {
        let answer = self.agent.delete(format!("{}/api/v1{path}", self.base)).call();
        read(path, answer).map(|_| ())
    }

    /// The entries of a list.
    pub(super) fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let list = self.get(path)?;
        list.get("items").and_then(Value::as_array).cloned().with_context(|| format!("{path} is no list"))
    }

    /// The entry of a list whose text field has that value.
    pub(super) fn find(&self, path: &str, field: &str, value: &str) -> anyhow::Result<Option<Value>> {
        Ok(self.list(path)?.into_iter().find(|entry| text(entry, field) == value))
    }
}

/// A text field of an object, by a path like `room.name`; empty when absent.
pub(super) fn text(value: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(value, |value, key| value.get(key));
    found.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A number field of an object, by a path like `state.progress.done_bytes`; 0 when absent.
pub(super) fn number(value: &Value, path: &str) -> u64 {
    let found = path.split('.').try_fold(value, |value, key| value.get(key));
    found.and_then(Value::as_u64).unwrap_or_default()
}

fn read(path: &str, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> anyhow::Result<Value> {
    let mut answer = answer.with_context(|| format!("{path} does not answer"))?;
    let body = answer.body_mut().read_to_string().with_context(|| format!("{path} broke off"))?;
    if !answer.status().is_success() {
        bail!("{path} answered {}: {body}", answer.status());
    }
    if body.is_empty() {
        Ok(Value::Null)
    } else {
        serde_json::from_str(&body).with_context(|| format!("{path}: {body}"))
    }
}
