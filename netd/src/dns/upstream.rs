//! Asking the forwarders: with a time limit, and a bound on how much is asked at once. Answers are remembered in [`super::cache`].

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig, TokioResolver};
use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::rr::{Name, Record, RecordType};
use inventory::Inventory;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::Semaphore;

use super::Forwarder;
use super::dnssec::{self, Mode, Trust, Validator};

/// The forwarders.
pub(crate) struct Upstream {
    /// `None` without forwarders.
    resolver: Option<TokioResolver>,
    /// `None` if answers are never validated.
    validator: Option<Validator>,
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
    /// Whether it is what the owner of the name signed.
    pub(crate) trust: Trust,
}

impl Outcome {
    fn empty(code: ResponseCode) -> Self {
        Self { code, answers: Vec::new(), authorities: Vec::new(), in_vain: false, trust: Trust::Unknown }
    }

    /// They gave no answer.
    pub(crate) fn in_vain() -> Self {
        Self { in_vain: true, ..Self::empty(ResponseCode::ServFail) }
    }

    /// What they gave is not what it should be.
    pub(crate) fn bogus() -> Self {
        Self { trust: Trust::Bogus, ..Self::empty(ResponseCode::ServFail) }
    }

    /// What an error means: that there is nothing, or that there is no answer.
    pub(crate) fn of_error(error: NetError) -> Self {
        match error {
            NetError::Dns(DnsError::NoRecordsFound(nothing))
                if matches!(nothing.response_code, ResponseCode::NXDomain | ResponseCode::NoError) =>
            {
                let soa = nothing.soa.map(|soa| soa.into_record_of_rdata());
                Self { authorities: soa.into_iter().collect(), ..Self::empty(nothing.response_code) }
            }
            error => {
                tracing::debug!(%error, "the forwarders gave no answer");
                Self::in_vain()
            }
        }
    }
}

impl Upstream {
    /// Takes the forwarders of the configuration. The file of `authorities` is read if one of them is asked over TLS.
    ///
    /// # Errors
    /// The resolver cannot be made, or the file of the root's keys cannot be used.
    pub(crate) fn new(
        forwarders: Vec<Forwarder>,
        authorities: &Path,
        dnssec: &dnssec::Settings,
    ) -> Result<Self, String> {
        let text = |error: NetError| error.to_string();
        let (mut resolver, mut validator) = (None, None);
        if !forwarders.is_empty() {
            resolver = Some(resolver_of(&forwarders, authorities).map_err(text)?);
            if dnssec.mode != Mode::Off {
                let pool = |some: &[Forwarder]| pool(some, authorities).map_err(text);
                let each = forwarders.iter().map(|one| Ok((one.address, pool(std::slice::from_ref(one))?)));
                let each = each.collect::<Result<Vec<_>, String>>()?;
                validator = Some(Validator::new(dnssec, pool(&forwarders)?, each)?);
            }
        }
        let addresses = forwarders.iter().map(|forwarder| forwarder.address).collect();
        Ok(Self {
            resolver,
            validator,
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
        if let Some(validator) = self.validator.as_ref().filter(|validator| validator.concerns(&name)) {
            let asked = tokio::time::timeout(PATIENCE, validator.ask(name, kind));
            return asked.await.unwrap_or_else(|_| Outcome::in_vain());
        }
        // The resolver's own cache has no room, but forgets only when it tidies up.
        resolver.clear_lookup_cache(name.clone(), kind);
        match tokio::time::timeout(PATIENCE, resolver.lookup(name, kind)).await {
            Ok(Ok(lookup)) => {
                Outcome { answers: lookup.answers().to_vec(), ..Outcome::empty(ResponseCode::NoError) }
            }
            Ok(Err(error)) => Outcome::of_error(error),
            Err(_) => Outcome::in_vain(),
        }
    }

    /// Looks for ever whether answers can be validated, and tells the admin.
    pub(crate) async fn watch(&self, inventory: Inventory) {
        match &self.validator {
            Some(validator) => validator.watch(inventory).await,
            None => dnssec::forget_notices(inventory).await,
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

/// A pool of these forwarders that only asks.
fn pool(
    forwarders: &[Forwarder],
    authorities: &Path,
) -> Result<NameServerPool<TokioRuntimeProvider>, NetError> {
    let tls =
        if is_encrypted(forwarders) { TlsConfig { config: tls(authorities)? } } else { TlsConfig::new()? };
    let context = Arc::new(PoolContext::new(options(), tls));
    Ok(NameServerPool::from_config(servers(forwarders), context, TokioRuntimeProvider::default()))
}

fn resolver_of(forwarders: &[Forwarder], authorities: &Path) -> Result<TokioResolver, NetError> {
    let config = ResolverConfig::from_name_servers(servers(forwarders));
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options();
    if is_encrypted(forwarders) {
        builder = builder.with_tls_config(tls(authorities)?);
    }
    builder.build()
}

fn is_encrypted(forwarders: &[Forwarder]) -> bool {
    forwarders.iter().any(|forwarder| forwarder.tls_name.is_some())
}

fn servers(forwarders: &[Forwarder]) -> Vec<NameServerConfig> {
    let servers = forwarders.iter().map(|forwarder| {
        let mut connections = match &forwarder.tls_name {
            // Nothing but TLS: whoever stands between could otherwise make it fail and listen.
            Some(name) => vec![ConnectionConfig::tls(name.as_str().into())],
            None => vec![ConnectionConfig::udp(), ConnectionConfig::tcp()],
        };
        connections.iter_mut().for_each(|connection| connection.port = forwarder.address.port());
        NameServerConfig::new(forwarder.address.ip(), true, connections)
    });
    servers.collect()
}

fn options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = ATTEMPT;
    options.attempts = 1;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.num_concurrent_reqs = 2;
    options.max_active_requests = RUNNING_MAX;
    options
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
