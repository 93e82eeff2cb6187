//! The network cards of a Windows PC.

#![allow(unsafe_code, reason = "the list of adapters is linked by pointers; every use says why it is right")]

use std::ptr::null_mut;

use images::protocol::Nic;
use windows_sys::Win32::Foundation::ERROR_SUCCESS;
use windows_sys::Win32::NetworkManagement::IpHelper::{
    GAA_FLAG_SKIP_ANYCAST, GAA_FLAG_SKIP_DNS_SERVER, GAA_FLAG_SKIP_MULTICAST, GetAdaptersAddresses,
    IF_TYPE_ETHERNET_CSMACD, IF_TYPE_IEEE80211, IP_ADAPTER_ADDRESSES_LH,
};
use windows_sys::Win32::NetworkManagement::Ndis::IfOperStatusUp;
use windows_sys::Win32::Networking::WinSock::AF_UNSPEC;

/// Wired and wireless cards with a hardware address. Names of drivers are not told.
pub(super) fn cards() -> Vec<Nic> {
    // Of numbers of 64 bits, so that what lies in it is aligned.
    let mut room = vec![0u64; ROOM_BYTES / 8];
    let mut bytes = u32::try_from(ROOM_BYTES).unwrap_or(0);
    let flags = GAA_FLAG_SKIP_ANYCAST | GAA_FLAG_SKIP_MULTICAST | GAA_FLAG_SKIP_DNS_SERVER;
    let first: *mut IP_ADAPTER_ADDRESSES_LH = room.as_mut_ptr().cast();
    // SAFETY: the call writes at most so many bytes as it is told.
    let result =
        unsafe { GetAdaptersAddresses(u32::from(AF_UNSPEC), flags, null_mut(), first, &raw mut bytes) };
    if result != ERROR_SUCCESS {
        return Vec::new();
    }
    let mut cards = Vec::new();
    let mut next = first.cast_const();
    while !next.is_null() && cards.len() < CARDS_MAX {
        // SAFETY: the list that the call wrote ends with a null pointer, and `room` lives until the end of this function.
        let card = unsafe { &*next };
        next = card.Next;
        let address = card.PhysicalAddress.get(..card.PhysicalAddressLength as usize).unwrap_or_default();
        let wireless = card.IfType == IF_TYPE_IEEE80211;
        if address.len() != 6 || !(wireless || card.IfType == IF_TYPE_ETHERNET_CSMACD) {
            continue;
        }
        let mac: Vec<String> = address.iter().map(|byte| format!("{byte:02x}")).collect();
        cards.push(Nic {
            name: friendly_name(card),
            mac: mac.join(":"),
            driver: String::new(),
            carrier: card.OperStatus == IfOperStatusUp,
            wireless,
        });
    }
    cards
}

fn friendly_name(card: &IP_ADAPTER_ADDRESSES_LH) -> String {
    if card.FriendlyName.is_null() {
        return String::new();
    }
    // SAFETY: the text ends with a zero (at most 256 units long, as documented), which ends the reading.
    let units = (0..256).map(|at| unsafe { *card.FriendlyName.add(at) }).take_while(|unit| *unit != 0);
    let units: Vec<u16> = units.collect();
    String::from_utf16_lossy(&units).chars().filter(|c| !c.is_control()).take(64).collect()
}

const ROOM_BYTES: usize = 256 << 10;
const CARDS_MAX: usize = 32;
