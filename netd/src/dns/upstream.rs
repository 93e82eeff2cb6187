//! Asking the forwarders: with a time limit, and a bound on how much is asked at once. Answers are remembered in [`super::cache`].

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::rr::{Name, Record, RecordType};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::Semaphore;

use super::Forwarder;

/// The forwarders.
pub(crate) struct Upstream {
    /// `None` without forwarders.
    resolver: Option<TokioResolver>,
    addresses: Vec<SocketAddr>,
    running: Semaphore,
    per_client: Mutex<HashMap<IpAddr, u32>>,
}

/// What the forwarders say.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Success, no such name, or a failure.
    pub(crate) code: ResponseCode,
    /// The answer with the aliases that lead to it.
    pub(crate) answers: Vec<Record>,
    /// For a negative answer the zone's SOA.
    pub(crate) authorities: Vec<Record>,
    /// The forwarders were asked and gave no answer.
    pub(crate) in_vain: bool,
}

impl Outcome {
    fn empty(code: ResponseCode) -> Self {
        Self { code, answers: Vec::new(), authorities: Vec::new(), in_vain: false }
    }
}

impl Upstream {
    /// Takes the forwarders of the configuration. The file of `authorities` is read if one of them is asked over TLS.
    ///
    /// # Errors
    /// The resolver cannot be made.
    pub(crate) fn new(forwarders: Vec<Forwarder>, authorities: &Path) -> Result<Self, NetError> {
        let resolver = if forwarders.is_empty() { None } else { Some(resolver(&forwarders, authorities)?) };
        let addresses = forwarders.iter().map(|forwarder| forwarder.address).collect();
        Ok(Self {
            resolver,
            addresses,
            running: Semaphore::new(RUNNING_MAX),
            per_client: Mutex::new(HashMap::new()),
        })
    }

    /// Asks for a name on behalf of a client.
    pub(crate) async fn ask(&self, client: IpAddr, name: Name, kind: RecordType) -> Outcome {
        let Some(resolver) = &self.resolver else { return Outcome::empty(ResponseCode::Refused) };
        // A forwarder that asks us what we ask it, such as a router whose own server we are, would go on for ever.
        if !client.is_loopback() && self.addresses.iter().any(|address| address.ip() == client) {
            return Outcome::empty(ResponseCode::Refused);
        }
        let Some(_turn) = self.turn(client) else { return Outcome::empty(ResponseCode::ServFail) };
        let Ok(_running) = self.running.try_acquire() else { return Outcome::empty(ResponseCode::ServFail) };
        let in_vain = || Outcome { in_vain: true, ..Outcome::empty(ResponseCode::ServFail) };
        // The resolver's own cache has no room, but forgets only when it tidies up.
        resolver.clear_lookup_cache(name.clone(), kind);
        match tokio::time::timeout(PATIENCE, resolver.lookup(name, kind)).await {
            Ok(Ok(lookup)) => Outcome {
                code: ResponseCode::NoError,
                answers: lookup.answers().to_vec(),
                authorities: Vec::new(),
                in_vain: false,
            },
            Ok(Err(NetError::Dns(DnsError::NoRecordsFound(nothing))))
                if matches!(nothing.response_code, ResponseCode::NXDomain | ResponseCode::NoError) =>
            {
                let soa = nothing.soa.map(|soa| soa.into_record_of_rdata());
                Outcome {
                    code: nothing.response_code,
                    answers: Vec::new(),
                    authorities: soa.into_iter().collect(),
                    in_vain: false,
                }
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "the forwarders gave no answer");
                in_vain()
            }
            Err(_) => in_vain(),
        }
    }

    fn turn(&self, client: IpAddr) -> Option<Turn<'_>> {
        let mut running = self.per_client.lock().unwrap_or_else(PoisonError::into_inner);
        let count = running.entry(client).or_default();
        if *count >= PER_CLIENT_MAX {
            return None;
        }
        *count += 1;
        Some(Turn { upstream: self, client })
    }
}

/// A question that a client has open; it counts until this is dropped.
struct Turn<'u> {
    upstream: &'u Upstream,
    client: IpAddr,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut running = self.upstream.per_client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = running.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.client);
            }
        }
    }
}

fn resolver(forwarders: &[Forwarder], authorities: &Path) -> Result<TokioResolver, NetError> {
    let servers = forwarders.iter().map(|forwarder| {
        let mut connections = match &forwarder.tls_name {
            // Nothing but TLS: whoever stands between could otherwise make it fail and listen.
            Some(name) => vec![ConnectionConfig::tls(name.as_str().into())],
            None => vec![ConnectionConfig::udp(), ConnectionConfig::tcp()],
        };
        connections.iter_mut().for_each(|connection| connection.port = forwarder.address.port());
        NameServerConfig::new(forwarder.address.ip(), true, connections)
    });
    let mut options = ResolverOpts::default();
    options.timeout = ATTEMPT;
    options.attempts = 1;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.num_concurrent_reqs = 2;
    options.max_active_requests = RUNNING_MAX;
    let config = ResolverConfig::from_name_servers(servers.collect());
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    if forwarders.iter().any(|forwarder| forwarder.tls_name.is_some()) {
        builder = builder.with_tls_config(tls(authorities)?);
    }
    builder.build()
}

fn tls(authorities: &Path) -> Result<rustls::ClientConfig, NetError> {
    let mut roots = rustls::RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(authorities).into_iter().flatten().flatten();
    let (good, _) = roots.add_parsable_certificates(certificates);
    if good == 0 {
        let file = authorities.display();
        return Err(NetError::from(format!("no authority for DNS over TLS is in {file}")));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| NetError::from(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// How long one forwarder may take before the next is asked.
const ATTEMPT: Duration = Duration::from_millis(1500);
/// How long a client waits for everything; most ask again after 5 seconds.
const PATIENCE: Duration = Duration::from_secs(4);
/// Questions to forwarders at once.
const RUNNING_MAX: usize = 1024;
/// Of those, one client's.
const PER_CLIENT_MAX: u32 = 128;
