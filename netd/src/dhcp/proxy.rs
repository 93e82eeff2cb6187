//! ProxyDHCP: telling PCs what to boot while another server gives the addresses (Intel PXE 2.1 section 2.2.3).
//!
//! The firmware asks everybody and takes the address from one answer and the boot file from another. An answer without an
//! address whose class is `PXEClient` is such another. Firmware that wants to hear it once more asks port 4011 with the address
//! that it got meanwhile.

use std::net::Ipv4Addr;

use dhcproto::v4::MessageType;
use inventory::{DhcpMode, Network};

use super::boot::BootFile;
use super::reply::{Destination, Reply};
use super::scene::Scene;

/// The answer to a DISCOVER in a network whose addresses another server gives; `None` for a client that does not boot.
pub(super) fn offer(scene: &Scene<'_>, networks: &[&Network]) -> Option<Reply> {
    let network = networks.iter().find(|network| network.mode == DhcpMode::Proxy)?;
    answer(scene, network, MessageType::Offer)
}

/// The answer to a REQUEST or INFORM at port 4011; goes back to the port it came from.
pub(super) fn boot_server_ack(scene: &Scene<'_>, networks: &[&Network]) -> Option<Reply> {
    if !matches!(scene.request.kind, MessageType::Request | MessageType::Inform) {
        return None;
    }
    let network = networks.iter().find(|network| network.mode != DhcpMode::Off)?;
    let mut reply = answer(scene, network, MessageType::Ack)?;
    let (ip, port) = (scene.from.ip(), scene.from.port());
    if !scene.is_relayed() && network.cidr.is_host(*ip) && port != 0 {
        reply.to = Destination::Client(*ip, port);
    }
    Some(reply)
}

fn answer(scene: &Scene<'_>, network: &Network, kind: MessageType) -> Option<Reply> {
    let server = scene.server(network)?;
    let boot = BootFile::of(&scene.request, server, scene.view.settings.boot_http_port)?;
    let options = boot.options(&scene.request, true);
    Some(scene.send(kind, Ipv4Addr::UNSPECIFIED, server, Some(&boot), options))
}
