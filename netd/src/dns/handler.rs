//! The long way: hickory's request handler, for messages that are not simple and names that are not ours.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use hickory_server::net::NetError;
use hickory_server::net::runtime::{Time, TokioTime};
use hickory_server::net::xfer::Protocol;
use hickory_server::proto::op::{Header, HeaderCounts, Metadata, OpCode, ResponseCode};
use hickory_server::proto::rr::{DNSClass, Record, RecordType};
use hickory_server::proto::serialize::binary::BinEncoder;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::{MessageResponse, MessageResponseBuilder};

use super::quick::{self, HEADER_BYTES, OPT_BYTES, RECURSION_AVAILABLE, RESPONSE, Transport};
use super::table::{Found, Table, wire};
use super::upstream::Upstream;

/// What answers: the prepared table, and the forwarders for everything else.
#[derive(Debug)]
pub(crate) struct School {
    pub(crate) table: ArcSwap<Table>,
    pub(crate) upstream: Upstream,
}

struct Answer {
    code: ResponseCode,
    ours: bool,
    answers: Vec<Record>,
    authorities: Vec<Record>,
}

impl Answer {
    fn empty(code: ResponseCode) -> Self {
        Self { code, ours: false, answers: Vec::new(), authorities: Vec::new() }
    }
}

#[async_trait::async_trait]
impl RequestHandler for School {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut responder: R,
    ) -> ResponseInfo {
        let answer = self.answer(request).await;
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = answer.code;
        metadata.authoritative = answer.ours;
        metadata.recursion_available = true;
        let response = MessageResponseBuilder::new(&request.queries, None).build(
            metadata,
            &answer.answers,
            &answer.authorities,
            &[],
            &[],
        );
        match responder.send_response(response).await {
            Ok(info) => info,
            Err(error) => {
                tracing::debug!(%error, "cannot write a DNS answer");
                Header { metadata, counts: HeaderCounts::default() }.into()
            }
        }
    }
}

impl School {
    async fn answer(&self, request: &Request) -> Answer {
        let client = request.src().ip();
        if !self.table.load().serves(client) {
            return Answer::empty(ResponseCode::Refused);
        }
        if request.metadata.op_code != OpCode::Query {
            return Answer::empty(ResponseCode::NotImp);
        }
        let Ok(info) = request.request_info() else { return Answer::empty(ResponseCode::FormErr) };
        let (query, kind) = (info.query.original(), info.query.query_type());
        if query.query_class() != DNSClass::IN || matches!(kind, RecordType::AXFR | RecordType::IXFR) {
            return Answer::empty(ResponseCode::Refused);
        }
        let Ok(name) = wire(query.name()) else { return Answer::empty(ResponseCode::FormErr) };
        let ours = |code, answers: &[Record], authority: Option<&Record>| Answer {
            code,
            ours: true,
            answers: answers.iter().map(|record| owned_by(record, query.name())).collect(),
            authorities: authority.cloned().into_iter().collect(),
        };
        match self.table.load().find(&name, kind) {
            Found::Answer(set) => return ours(ResponseCode::NoError, &set.records, None),
            Found::NoData(zone) => return ours(ResponseCode::NoError, &[], Some(&zone.soa)),
            Found::NoName(zone) => return ours(ResponseCode::NXDomain, &[], Some(&zone.soa)),
            Found::Elsewhere => {}
        }
        if !info.metadata.recursion_desired {
            return Answer::empty(ResponseCode::Refused);
        }
        if kind == RecordType::ANY {
            // RFC 8482: nobody has to collect everything about a name, and forwarders do not.
            return Answer::empty(ResponseCode::NotImp);
        }
        let outcome = self.upstream.ask(client, query.name().clone(), kind).await;
        Answer { code: outcome.code, ours: false, answers: outcome.answers, authorities: outcome.authorities }
    }
}

fn owned_by(record: &Record, name: &hickory_server::proto::rr::Name) -> Record {
    let mut record = record.clone();
    record.name = name.clone();
    record
}

/// Answers one message; `None` when it gets no answer.
pub(crate) async fn long_way(
    school: &School,
    client: SocketAddr,
    transport: Transport,
    message: Vec<u8>,
) -> Option<Vec<u8>> {
    let header = *message.first_chunk::<HEADER_BYTES>()?;
    let protocol = match transport {
        Transport::Udp => Protocol::Udp,
        Transport::Tcp => Protocol::Tcp,
    };
    let Ok(request) = Request::from_bytes(message, client, protocol) else {
        return Some(bare(header, ResponseCode::FormErr).to_vec());
    };
    let edns = request.edns.as_ref().map(|edns| (edns.version(), edns.flags().dnssec_ok, edns.max_payload()));
    if let Some((1.., signatures, _)) = edns {
        let mut reply = bare(header, ResponseCode::NoError).to_vec();
        let [.., additional] = &mut reply[..] else { return None };
        *additional = 1;
        reply.extend_from_slice(&quick::opt(BAD_VERSION, signatures));
        return Some(reply);
    }
    let limit = transport.limit(edns.map(|(_, _, bytes)| bytes));
    let capture = Capture { limit: limit - OPT_BYTES, bytes: Arc::default() };
    school.handle_request::<_, TokioTime>(&request, capture.clone()).await;
    let mut reply = std::mem::take(&mut *capture.bytes.lock().unwrap_or_else(PoisonError::into_inner));
    if let Some((_, signatures, _)) = edns {
        // Written here and not by the encoder, which would leave it out of an answer that was cut.
        let count = reply.get_mut(HEADER_BYTES - 1)?;
        *count = count.checked_add(1)?;
        reply.extend_from_slice(&quick::opt(0, signatures));
    }
    (reply.len() >= HEADER_BYTES).then_some(reply)
}

/// An answer that is nothing but a header.
fn bare([id0, id1, flags0, ..]: [u8; HEADER_BYTES], code: ResponseCode) -> [u8; HEADER_BYTES] {
    [id0, id1, RESPONSE | flags0 & 0x79, RECURSION_AVAILABLE | code.low(), 0, 0, 0, 0, 0, 0, 0, 0]
}

/// Keeps the answer for whoever sends it.
#[derive(Clone)]
struct Capture {
    limit: usize,
    bytes: Arc<Mutex<Vec<u8>>>,
}

#[async_trait::async_trait]
impl ResponseHandler for Capture {
    async fn send_response<'a>(
        &mut self,
        response: MessageResponse<
            '_,
            'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
        >,
    ) -> Result<ResponseInfo, NetError> {
        let mut bytes = Vec::with_capacity(512);
        let mut encoder = BinEncoder::new(&mut bytes);
        encoder.set_max_size(u16::try_from(self.limit).unwrap_or(u16::MAX));
        let info = response.destructive_emit(&mut encoder)?;
        // A record that did not fit is taken back but its first bytes stay in the buffer.
        encoder.trim();
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
        Ok(info)
    }
}

/// Upper bits of BADVERS (RFC 6891 section 9).
const BAD_VERSION: u8 = 1;
