//! Whether answers of the forwarders are what the owners of their names signed.
//!
//! | Standard       | What is done here                                                                                     |
//! |----------------|-------------------------------------------------------------------------------------------------------|
//! | RFC 4033-4035  | validation from the root's keys down, by hickory; bogus answers become SERVFAIL, secure ones get AD     |
//! | RFC 6840       | section 5.8: AD for clients that set DO or AD in the question                                          |
//! | RFC 5155, 9276 | NSEC3; zones with more than 100 iterations are taken as unsigned, with more than 500 as bogus          |
//! | RFC 7646       | names that are not validated: private ones (`PRIVATE`), and those of the configuration                 |
//! | RFC 8914       | a bogus answer says so: code 6                                                                         |
//!
//! **The default is to validate where that is possible.** Many routers and some providers' resolvers leave the signatures out, and then
//! every signed name would be bogus and the school offline. So each forwarder is asked for the root's keys, at start and every few
//! minutes. Only if all that answer hand over signatures that are right, answers are validated; else a notice names the forwarder and
//! what to do. Whoever can change what a forwarder says could switch validation off that way, which a school that wants more prevents
//! with `dnssec = "validate"`: then nothing is ever taken unchecked, whatever that costs.
//!
//! Our own zones, blocked names and the aliases of SafeSearch are made here and are not validated.
//!
//! Not done: handing signatures on to clients, the CD bit, new keys of the root by RFC 5011 (they come with a new version).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use hickory_resolver::NameServerPool;
use hickory_resolver::net::dnssec::DnssecDnsHandle;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::op::{DnsRequestOptions, Message, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, Record, RecordType};
use inventory::{By, Inventory, clock};
use serde::Deserialize;
use tokio::sync::Notify;

use super::quick::UDP_BYTES_MAX;
use super::remember::{Memory, Remembering};
use super::upstream::Outcome;
use crate::chain::chain;

/// Whether answers are validated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// While the forwarders hand over what it takes.
    #[default]
    Auto,
    /// Always: what cannot be validated is not answered.
    Validate,
    /// Never.
    Off,
}

/// How answers are validated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether.
    pub mode: Mode,
    /// Names that are not validated, nor what stands below them.
    pub except: Vec<Name>,
    /// File of the root's keys (DNSKEY records); those of the internet are built in.
    pub trust_anchor: Option<PathBuf>,
}

/// What is known of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Nothing: its zone is not signed, or nobody looked.
    #[default]
    Unknown,
    /// It is what the zone's owner signed.
    Secure,
    /// It should be signed and is not, or not rightly.
    Bogus,
}

/// Validates answers.
pub(crate) struct Validator {
    mode: Mode,
    except: Vec<Name>,
    handle: DnssecDnsHandle<Remembering>,
    memory: Arc<Memory>,
    forwarders: Vec<(SocketAddr, DnssecDnsHandle<NameServerPool<TokioRuntimeProvider>>)>,
    /// Whether that is done at the moment.
    works: AtomicBool,
    /// Something was bogus: it may be the forwarder's fault.
    alarm: Notify,
}

/// What a forwarder makes of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It hands them over.
    Signed,
    /// It leaves them out.
    Stripped,
    /// They are not right.
    Wrong,
    /// It does not answer at all.
    Silent,
}

impl Validator {
    /// A validator that asks `all`; each of `each` is looked at by itself.
    ///
    /// # Errors
    /// The file of the root's keys cannot be used.
    pub(crate) fn new(
        settings: &Settings,
        all: NameServerPool<TokioRuntimeProvider>,
        each: Vec<(SocketAddr, NameServerPool<TokioRuntimeProvider>)>,
    ) -> Result<Self, String> {
        let anchors =
            Arc::new(settings.trust_anchor.as_deref().map_or(Ok(TrustAnchors::default()), anchors)?);
        let remembering = Remembering::new(all);
        let memory = remembering.memory();
        let private = PRIVATE.iter().filter_map(|name| Name::from_ascii(name).ok());
        let handle = |pool| DnssecDnsHandle::with_trust_anchor(pool, Arc::clone(&anchors));
        Ok(Self {
            mode: settings.mode,
            except: private.chain(settings.except.iter().cloned()).collect(),
            handle: DnssecDnsHandle::with_trust_anchor(remembering, Arc::clone(&anchors)),
            memory,
            forwarders: each.into_iter().map(|(address, pool)| (address, handle(pool))).collect(),
            works: AtomicBool::new(settings.mode == Mode::Validate),
            alarm: Notify::new(),
        })
    }

    /// Whether an answer about this name is to be validated.
    pub(crate) fn concerns(&self, name: &Name) -> bool {
        self.works.load(Ordering::Relaxed) && !self.except.iter().any(|except| except.zone_of(name))
    }

    /// Asks the forwarders and validates what they say.
    pub(crate) async fn ask(&self, name: Name, kind: RecordType) -> Outcome {
        let outcome = match self.handle.lookup(Query::query(name, kind), options()).first_answer().await {
            Ok(response) => judge(kind, response.into()),
            Err(NetError::Dns(DnsError::Nsec { response, proof, .. })) if proof != Proof::Bogus => {
                Outcome { trust: Trust::Unknown, ..judge(kind, (*response).into()) }
            }
            Err(NetError::Dns(DnsError::Nsec { .. } | DnsError::DnssecBogus)) => Outcome::bogus(),
            Err(error) => Outcome::of_error(error),
        };
        if outcome.trust == Trust::Bogus {
            self.memory.forget();
            self.alarm.notify_one();
        }
        outcome
    }

    /// Looks at the forwarders for ever, and tells the admin what they are like.
    pub(crate) async fn watch(&self, inventory: Inventory) {
        loop {
            let verdicts = join_all(self.forwarders.iter().map(async |(address, handle)| {
                let verdict = tokio::time::timeout(PATIENCE, examine(handle)).await;
                (*address, verdict.unwrap_or(Verdict::Silent))
            }));
            let verdicts = verdicts.await;
            self.decide(&verdicts);
            let notices: Vec<_> =
                verdicts.iter().filter_map(|(address, v)| self.notice(*address, *v)).collect();
            let by = By { actor: SOURCE, at: clock::now() };
            if let Err(error) = inventory.set_notices(by, SOURCE, &notices).await {
                tracing::warn!(error = chain(&error), "cannot write notices");
            }
            let fine = verdicts.iter().all(|(_, verdict)| *verdict == Verdict::Signed);
            tokio::time::sleep(LOOK_LEAST).await;
            let pause = if fine { LOOK } else { LOOK_SOON };
            // Whether it was the alarm or the time makes no difference.
            let _ = tokio::time::timeout(pause, self.alarm.notified()).await;
        }
    }

    fn decide(&self, verdicts: &[(SocketAddr, Verdict)]) {
        let mut answered = verdicts.iter().filter(|(_, verdict)| *verdict != Verdict::Silent).peekable();
        if self.mode != Mode::Auto || answered.peek().is_none() {
            return;
        }
        let works = answered.all(|(_, verdict)| *verdict == Verdict::Signed);
        if self.works.swap(works, Ordering::Relaxed) != works {
            let what = if works { "are validated (DNSSEC)" } else { "are not validated any more (DNSSEC)" };
            tracing::info!("answers of the DNS forwarders {what}");
        }
    }

    fn notice(&self, address: SocketAddr, verdict: Verdict) -> Option<(String, String, String)> {
        let (what, remedy) = match verdict {
            Verdict::Signed | Verdict::Silent => return None,
            Verdict::Stripped => ("leaves the signatures (DNSSEC) out", REMEDY_STRIPPED),
            Verdict::Wrong => ("hands over signatures (DNSSEC) that are not right", REMEDY_WRONG),
        };
        let so = match self.mode {
            Mode::Validate => "names of signed zones are not answered",
            Mode::Auto | Mode::Off => "answers are not validated",
        };
        let text = format!("the DNS forwarder {address} {what}: {so}");
        Some((format!("dns_forwarders/{address}"), text, remedy.to_owned()))
    }
}

impl std::fmt::Debug for Validator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Validator")
            .field("mode", &self.mode)
            .field("works", &self.works)
            .finish_non_exhaustive()
    }
}

/// For those who never validate: what was told before holds no more.
pub(crate) async fn forget_notices(inventory: Inventory) {
    let by = By { actor: SOURCE, at: clock::now() };
    if let Err(error) = inventory.set_notices(by, SOURCE, &[]).await {
        tracing::warn!(error = chain(&error), "cannot remove notices");
    }
    std::future::pending().await
}

fn anchors(path: &Path) -> Result<TrustAnchors, String> {
    let file = path.display();
    let anchors = TrustAnchors::from_file(path).map_err(|error| format!("{file}: {error}"))?;
    if anchors.is_empty() { Err(format!("{file} holds no key of the root")) } else { Ok(anchors) }
}

fn options() -> DnsRequestOptions {
    let mut options = DnsRequestOptions::default();
    options.edns_set_dnssec_ok = true;
    options.edns_payload_len = UDP_BYTES_MAX;
    options
}

/// Asks a forwarder for the root's keys.
async fn examine<H: DnsHandle>(forwarder: &DnssecDnsHandle<H>) -> Verdict {
    let keys = Query::query(Name::root(), RecordType::DNSKEY);
    match forwarder.lookup(keys, options()).first_answer().await {
        Ok(response) => {
            let is = |kind| move |record: &&Record| record.record_type() == kind;
            let mut keys = response.answers.iter().filter(is(RecordType::DNSKEY)).peekable();
            if !response.answers.iter().any(|record| is(RecordType::RRSIG)(&record)) {
                Verdict::Stripped
            } else if keys.peek().is_some() && keys.all(|key| key.proof == Proof::Secure) {
                Verdict::Signed
            } else {
                Verdict::Wrong
            }
        }
        Err(NetError::Dns(_)) => Verdict::Stripped,
        // Perhaps it has no answer only to such questions.
        Err(_) => {
            let plain = DnsRequestOptions::default();
            let answered = forwarder.inner().lookup(Query::query(Name::root(), RecordType::NS), plain);
            match answered.first_answer().await {
                Ok(_) | Err(NetError::Dns(_)) => Verdict::Stripped,
                Err(_) => Verdict::Silent,
            }
        }
    }
}

/// What a validated message says.
fn judge(kind: RecordType, message: Message) -> Outcome {
    let code = message.metadata.response_code;
    if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return Outcome::in_vain();
    }
    let signs = |record: &Record| {
        matches!(record.record_type(), RecordType::RRSIG | RecordType::NSEC | RecordType::NSEC3)
    };
    let proves = |record: &&Record| record.record_type() != RecordType::RRSIG;
    let answers = message.answers.iter().filter(proves);
    // That there is nothing is said by the authority section alone.
    let found = message.answers.iter().any(|record| !signs(record));
    let authorities = message.authorities.iter().filter(|record| !found && proves(record));
    let mut proofs = answers.chain(authorities).map(|record| record.proof).peekable();
    let trust = match proofs.peek() {
        None => Trust::Unknown,
        Some(_) => proofs.fold(Trust::Secure, |trust, proof| match (trust, proof) {
            (Trust::Bogus, _) | (_, Proof::Bogus) => Trust::Bogus,
            (trust, Proof::Secure) => trust,
            _ => Trust::Unknown,
        }),
    };
    if trust == Trust::Bogus {
        return Outcome::bogus();
    }
    let wanted = |record: &Record| !signs(record) || record.record_type() == kind;
    let answers: Vec<Record> = message.answers.into_iter().filter(wanted).collect();
    let soa = |record: &Record| record.record_type() == RecordType::SOA;
    let final_answer = answers.iter().any(|record| record.record_type() != RecordType::CNAME);
    let authorities = message.authorities.into_iter().filter(|record| !final_answer && soa(record)).collect();
    Outcome { code, answers, authorities, in_vain: false, trust }
}

/// Domains that routers and schools use at home and that the world knows nothing of, or something else.
const PRIVATE: [&str; 10] = [
    "lan.",
    "home.",
    "corp.",
    "intern.",
    "intranet.",
    "private.",
    "fritz.box.",
    "speedport.ip.",
    "easy.box.",
    "o2.box.",
];
/// Source of the notices.
const SOURCE: &str = "netd-dnssec";
const REMEDY_STRIPPED: &str = "name another forwarder, such as tls://9.9.9.9#dns.quad9.net, or write dnssec = \"off\" in the section [netd]";
const REMEDY_WRONG: &str = "see whether the server's clock is right; else name another forwarder, or write dnssec = \"off\" in the section [netd]";
/// How long a forwarder may take to show what it does.
const PATIENCE: Duration = Duration::from_secs(4);
/// How often the forwarders are looked at while everything is fine.
const LOOK: Duration = Duration::from_secs(600);
/// The same while it is not.
const LOOK_SOON: Duration = Duration::from_secs(20);
/// Least time between two looks.
const LOOK_LEAST: Duration = Duration::from_secs(5);
