//! The options of an answer.

use std::net::Ipv4Addr;

use dhcproto::v4::{DhcpOption, OptionCode, UnknownOption};
use inventory::Network;

use super::codec::Request;
use super::view::{Known, Settings};

/// What every client of a network is told, in order of importance.
pub(super) fn of_network(
    request: &Request<'_>,
    settings: &Settings,
    network: &Network,
    server: Ipv4Addr,
    known: Option<&Known>,
) -> Vec<DhcpOption> {
    let mut options = Vec::with_capacity(16);
    options.push(DhcpOption::SubnetMask(network.cidr.netmask()));
    options.extend(network.router.map(|router| DhcpOption::Router(vec![router])));
    options.push(DhcpOption::DomainNameServer(vec![server]));
    options.push(DhcpOption::DomainName(settings.zone.clone()));
    if request.asks_for(OptionCode::BroadcastAddr) {
        options.push(DhcpOption::BroadcastAddr(network.cidr.broadcast()));
    }
    if let Some(known) = known.filter(|_| request.asks_for(OptionCode::Hostname)) {
        options.push(DhcpOption::Hostname(known.name.to_string()));
    }
    options.extend(client_fqdn(request));
    options
}

/// RFC 8910 section 2: where a client learns whether it is locked. The RFC allows to tell everybody; only those who ask are told,
/// since firmware has little room.
pub(super) fn of_portal(request: &Request<'_>, portal: Option<&str>) -> Option<DhcpOption> {
    let asked = request.option(OptionCode::ParameterRequestList)?;
    let uri = portal.filter(|_| asked.contains(&u8::from(OptionCode::CaptivePortal)))?;
    Some(DhcpOption::CaptivePortal(uri.to_owned()))
}

/// Length of a lease with its two renewal times (RFC 2131 section 4.4.5).
pub(super) fn of_lease(secs: u32) -> [DhcpOption; 3] {
    let secs = u64::from(secs);
    let part = |eighths: u64| u32::try_from(secs * eighths / 8).unwrap_or(u32::MAX);
    [DhcpOption::AddressLeaseTime(part(8)), DhcpOption::Renewal(part(4)), DhcpOption::Rebinding(part(7))]
}

/// RFC 4702 section 4: the server keeps the names itself (S), says so if the client wished otherwise (O), and sends the name
/// back in the form it came in.
fn client_fqdn(request: &Request<'_>) -> Option<DhcpOption> {
    let sent = request.option(OptionCode::ClientFQDN).filter(|sent| sent.len() <= 255)?;
    let [flags, _, _, name @ ..] = sent.as_ref() else { return None };
    let overridden = if flags & 1 == 0 { 2 } else { 0 };
    let answer = [&[flags & 4 | 1 | overridden, 255, 255], name].concat();
    Some(DhcpOption::Unknown(UnknownOption::new(OptionCode::ClientFQDN, answer)))
}
