//! The forwarders, with a short memory for what validation asks for again and again: keys, what vouches for them, and where zones begin.
//!
//! Each answer that is to be validated needs the keys of every zone from the root down to its own. What is remembered here is not
//! validated; whoever reads it does that each time. When something was bogus everything is forgotten, so that a forged key does not
//! stay for as long as its forger wished.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, Stream, stream};
use hickory_resolver::NameServerPool;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{DnsRequest, DnsResponse};
use hickory_resolver::proto::rr::{LowerName, RecordType};
use inventory::clock;

/// The forwarders and what they said.
#[derive(Clone)]
pub(crate) struct Remembering {
    pool: NameServerPool<TokioRuntimeProvider>,
    memory: Arc<Memory>,
}

/// What was said, until when.
#[derive(Default)]
pub(crate) struct Memory(Mutex<HashMap<Key, (Instant, Said)>>);

type Key = (LowerName, RecordType);
type Said = Result<DnsResponse, NetError>;

impl Remembering {
    pub(crate) fn new(pool: NameServerPool<TokioRuntimeProvider>) -> Self {
        Self { pool, memory: Arc::default() }
    }

    pub(crate) fn memory(&self) -> Arc<Memory> {
        Arc::clone(&self.memory)
    }
}

impl DnsHandle for Remembering {
    type Response = Pin<Box<dyn Stream<Item = Said> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Self::Response {
        let Some(key) = key(&request) else { return Box::pin(self.pool.send(request)) };
        if let Some(said) = self.memory.find(&key, clock::instant()) {
            return Box::pin(stream::once(std::future::ready(said)));
        }
        let memory = self.memory();
        let asked = self.pool.send(request).first_answer();
        Box::pin(stream::once(asked.inspect(move |said| memory.keep(key, said, clock::instant()))))
    }
}

impl Memory {
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn find(&self, key: &Key, now: Instant) -> Option<Said> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).filter(|(until, _)| now < *until).map(|(_, said)| said.clone())
    }

    fn keep(&self, key: Key, said: &Said, now: Instant) {
        let secs = match said {
            Ok(response) => response.answers.iter().map(|record| record.ttl).min(),
            Err(NetError::Dns(DnsError::NoRecordsFound(nothing))) => nothing.negative_ttl,
            Err(_) => None,
        };
        let Some(secs) = secs.map(|secs| secs.min(SECS_MAX)).filter(|secs| *secs > 0) else { return };
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= ENTRIES_MAX {
            entries.retain(|_, (until, _)| now < *until);
        }
        if entries.len() >= ENTRIES_MAX {
            entries.clear();
        }
        entries.insert(key, (now + Duration::from_secs(secs.into()), said.clone()));
    }
}

/// What is worth remembering; nothing of what clients ask for but delegations.
fn key(request: &DnsRequest) -> Option<Key> {
    let query = request.queries.first()?;
    let kind = query.query_type();
    let helps = matches!(kind, RecordType::DNSKEY | RecordType::DS | RecordType::NS);
    helps.then(|| (query.name().into(), kind))
}

const ENTRIES_MAX: usize = 2048;
const SECS_MAX: u32 = 900;
