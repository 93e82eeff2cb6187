//! Who speaks to the server: a person's program over the REST API, and a PC's agent.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

/// A signed-in session.
#[derive(Clone)]
pub(crate) struct Api {
    agent: ureq::Agent,
    base: String,
}

impl Api {
    /// Signs in over HTTPS, trusting the school's certificate only.
    pub(crate) fn sign_in(base: &str, ca: &str, name: &str, password: &str) -> Result<Self, String> {
        let api = Self::of_a_stranger(base, ca);
        api.post("/session", &json!({ "name": name, "password": password }))?;
        Ok(api)
    }

    /// Somebody who did not sign in.
    pub(crate) fn of_a_stranger(base: &str, ca: &str) -> Self {
        Self { agent: agent(ca, None), base: base.to_owned() }
    }

    /// Reads. `Err` is a refusal, or no answer.
    pub(crate) fn get(&self, path: &str) -> Result<Value, String> {
        read(self.agent.get(self.url(path)).call())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        read(self.agent.post(self.url(path)).send_json(body))
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Result<Value, String> {
        read(self.agent.put(self.url(path)).send_json(body))
    }

    /// The entries of a list.
    pub(crate) fn list(&self, path: &str) -> Vec<Value> {
        self.get(path).unwrap()["items"].as_array().unwrap().clone()
    }

    /// The entry of a list whose field, by a path like `room.name`, has that text.
    pub(crate) fn find(&self, path: &str, field: &str, text: &str) -> Option<Value> {
        let value = |entry: &Value| entry.pointer(&format!("/{}", field.replace('.', "/"))).cloned();
        self.list(path).into_iter().find(|entry| value(entry).is_some_and(|v| v == text))
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.base)
    }
}

/// The agent of a PC that was booted over the network.
pub(crate) struct Pc {
    agent: ureq::Agent,
    server: String,
    mac: String,
}

impl Pc {
    pub(crate) fn new(ca: &str, server: &str, mac: &str) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let own = rcgen::CertificateParams::new(vec!["pc".into()]).unwrap().self_signed(&key).unwrap();
        let certificate = Certificate::from_der(own.der()).to_owned();
        let key = PrivateKey::from_pem(key.serialize_pem().as_bytes()).unwrap();
        let own = ClientCert::new_with_certs(&[certificate], key);
        Self { agent: agent(ca, Some(own)), server: server.to_owned(), mac: mac.to_owned() }
    }

    /// Says who is there; the answer is how the server sees it.
    pub(crate) fn hello(&self) -> Value {
        let hardware = json!({
            "vendor": "QEMU", "product": "Standard PC", "serial": self.mac,
            "nics": [{ "name": "eth0", "mac": self.mac, "carrier": true }],
            "disks": [{ "name": "vda", "serial": "disk", "bytes": 8_u64 << 30 }],
        });
        let hello = json!({ "agent_version": "0.1.0", "runs_in": "boot_environment", "hardware": hardware });
        read(self.agent.post(format!("{}/v1/hello", self.server)).send_json(hello)).unwrap()
    }
}

fn agent(ca: &str, own: Option<ClientCert>) -> ureq::Agent {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&[Certificate::from_pem(ca.as_bytes()).unwrap()]))
        .client_cert(own)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(Duration::from_secs(10)))
        .http_status_as_error(false)
        .build()
        .new_agent()
}

fn read(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, String> {
    let mut answer = answer.map_err(|error| error.to_string())?;
    let body = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
    if !answer.status().is_success() {
        return Err(format!("{}: {body}", answer.status()));
    }
    if body.is_empty() {
        Ok(Value::Null)
    } else {
        serde_json::from_str(&body).map_err(|error| error.to_string())
    }
}
