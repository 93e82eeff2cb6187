//! What a PC's firmware is told to load.
//!
//! | Who asks | How it is recognised | What it gets |
//! |---|---|---|
//! | iPXE | user class `iPXE` (option 77, with or without RFC 3004 lengths) or option 175 | the URL of its script |
//! | BIOS | `PXEClient`, architecture 0 | `undionly.kpxe` by TFTP |
//! | UEFI, 64 bits | `PXEClient`, architecture 7 or 9 (RFC 4578 errata) | `shimx64.efi` by TFTP |
//! | UEFI HTTP Boot, 64 bits | `HTTPClient`, architecture 16 | the URL of `shimx64.efi`, option 60 `HTTPClient` |
//!
//! Secure Boot cannot be seen in DHCP, so every UEFI PC gets the signed shim.

use std::net::Ipv4Addr;

use dhcproto::v4::{Architecture, DhcpOption, OptionCode, UnknownOption};

use super::codec::Request;

/// Kind of boot program that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// PC BIOS with a PXE ROM.
    Bios,
    /// UEFI with PXE, x86-64.
    Uefi,
    /// UEFI HTTP Boot, x86-64.
    UefiHttp,
    /// iPXE, in whatever firmware.
    Ipxe,
}

impl Firmware {
    /// Who asks; `None` for a running system, or for hardware that we have nothing for.
    #[must_use]
    pub fn of(request: &Request<'_>) -> Option<Self> {
        let class = request.option(OptionCode::ClassIdentifier).unwrap_or_default();
        if is_ipxe(request) {
            return Some(Self::Ipxe);
        }
        let (pxe, http) = (class.starts_with(PXE_CLIENT), class.starts_with(HTTP_CLIENT));
        if !pxe && !http {
            return None;
        }
        let mut named = request.architectures();
        named.extend(architecture_in_class(&class));
        named.into_iter().find_map(|architecture| match architecture {
            Architecture::X86_Bios if pxe => Some(Self::Bios),
            Architecture::X64 | Architecture::BC if pxe => Some(Self::Uefi),
            Architecture::X64_Http => Some(Self::UefiHttp),
            _ => None,
        })
    }

    fn loads_by_http(self) -> bool {
        matches!(self, Self::Ipxe | Self::UefiHttp)
    }
}

/// What to load, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootFile {
    /// Who asked.
    pub firmware: Firmware,
    /// Our address, also that of the TFTP server.
    pub server: Ipv4Addr,
    /// A path for TFTP or a URL.
    pub file: String,
}

impl BootFile {
    /// What a request is answered with; `None` when it is not from firmware.
    #[must_use]
    pub fn of(request: &Request<'_>, server: Ipv4Addr, http_port: u16) -> Option<Self> {
        let firmware = Firmware::of(request)?;
        let file = match firmware {
            Firmware::Bios => BIOS_FILE.to_owned(),
            Firmware::Uefi => UEFI_FILE.to_owned(),
            Firmware::UefiHttp => format!("http://{server}:{http_port}/boot/{UEFI_FILE}"),
            Firmware::Ipxe => match request.mac() {
                Some(mac) => format!("http://{server}:{http_port}/boot/ipxe?mac={mac}"),
                None => format!("http://{server}:{http_port}/boot/ipxe"),
            },
        };
        Some(Self { firmware, server, file })
    }

    /// The address for the header field `siaddr`.
    #[must_use]
    pub fn next_server(&self) -> Ipv4Addr {
        self.server
    }

    /// The options that tell it. `proxied` when another server gives the address: then the class is what makes the offer a
    /// ProxyDHCP offer.
    #[must_use]
    pub fn options(&self, request: &Request<'_>, proxied: bool) -> Vec<DhcpOption> {
        let mut options = Vec::with_capacity(6);
        match self.firmware {
            Firmware::UefiHttp => options.push(DhcpOption::ClassIdentifier(HTTP_CLIENT.to_vec())),
            Firmware::Ipxe if !proxied => {}
            _ => {
                options.push(DhcpOption::ClassIdentifier(PXE_CLIENT.to_vec()));
                options.push(DhcpOption::VendorExtensions(NO_MENU.to_vec()));
            }
        }
        options.push(DhcpOption::BootfileName(self.file.clone().into_bytes()));
        if !self.firmware.loads_by_http() {
            options.push(DhcpOption::TFTPServerName(self.server.to_string().into_bytes()));
        }
        // PXE 2.1 section 2.2.3: the identifier of the machine comes back.
        if let Some(id) = request.option(OptionCode::ClientMachineIdentifier).filter(|id| id.len() <= 17) {
            options.push(DhcpOption::Unknown(UnknownOption::new(
                OptionCode::ClientMachineIdentifier,
                id.into_owned(),
            )));
        }
        options
    }
}

fn is_ipxe(request: &Request<'_>) -> bool {
    let user_class = request.option(OptionCode::UserClass).unwrap_or_default();
    user_class.windows(IPXE.len()).any(|part| part == IPXE) || request.has(OptionCode::Unknown(175))
}

/// `PXEClient:Arch:00007:UNDI:003016`, for firmware that leaves out option 93.
fn architecture_in_class(class: &[u8]) -> Option<Architecture> {
    let text = std::str::from_utf8(class).ok()?;
    let number = text.split_once(":Arch:")?.1.split(':').next()?;
    number.parse().ok().map(Architecture)
}

const PXE_CLIENT: &[u8] = b"PXEClient";
const HTTP_CLIENT: &[u8] = b"HTTPClient";
const IPXE: &[u8] = b"iPXE";
/// PXE 2.1 table 2-1: discovery control, bit 3: load the file named here; ask no boot server and show no menu. Without it
/// UEFI firmware asks port 4011 in a loop.
const NO_MENU: &[u8] = &[6, 1, 8, 255];
const BIOS_FILE: &str = "undionly.kpxe";
const UEFI_FILE: &str = "shimx64.efi";

#[cfg(test)]
mod tests {
    use super::super::codec::tests::packet;
    use super::*;

    fn option(code: u8, value: &[u8]) -> Vec<u8> {
        [&[code, u8::try_from(value.len()).unwrap()], value].concat()
    }

    fn file(options: &[Vec<u8>]) -> Option<String> {
        let p = packet(6, &[&[53, 1, 1][..], &options.concat()].concat());
        let request = Request::decode(&p).unwrap();
        BootFile::of(&request, Ipv4Addr::new(10, 77, 0, 1), 8067).map(|boot| boot.file)
    }

    #[test]
    fn each_firmware_gets_what_it_can_load() {
        let bios = option(60, b"PXEClient:Arch:00000:UNDI:002001");
        let uefi = option(60, b"PXEClient:Arch:00007:UNDI:003016");
        let http = option(60, b"HTTPClient:Arch:00016:UNDI:003001");
        let script = Some("http://10.77.0.1:8067/boot/ipxe?mac=52:54:00:01:02:03");
        let cases: [(&[Vec<u8>], Option<&str>); 13] = [
            (&[bios.clone(), option(93, &[0, 0])], Some("undionly.kpxe")),
            (std::slice::from_ref(&bios), Some("undionly.kpxe")),
            (&[uefi.clone(), option(93, &[0, 7])], Some("shimx64.efi")),
            (&[option(60, b"PXEClient"), option(93, &[0, 9])], Some("shimx64.efi")),
            (&[option(60, b"PXEClient"), option(93, &[0, 6, 0, 7])], Some("shimx64.efi")),
            (&[http.clone(), option(93, &[0, 16])], Some("http://10.77.0.1:8067/boot/shimx64.efi")),
            (&[bios.clone(), option(77, b"iPXE")], script),
            (&[bios.clone(), option(77, b"\x04iPXE")], script),
            (&[uefi.clone(), option(175, &[1, 1, 1])], script),
            (&[option(77, b"iPXE")], script),
            (&[option(60, b"PXEClient"), option(93, &[0, 11])], None),
            (&[option(60, b"MSFT 5.0")], None),
            (&[option(93, &[0, 7])], None),
        ];
        for (options, expected) in cases {
            assert_eq!(file(options).as_deref(), expected, "{options:?}");
        }
    }

    #[test]
    fn an_http_client_is_told_that_it_speaks_to_its_kind() {
        let p = packet(6, &[&[53, 1, 1][..], &option(60, b"HTTPClient:Arch:00016")].concat());
        let request = Request::decode(&p).unwrap();
        let boot = BootFile::of(&request, Ipv4Addr::LOCALHOST, 80).unwrap();
        assert_eq!(boot.options(&request, false)[0], DhcpOption::ClassIdentifier(b"HTTPClient".to_vec()));
    }
}
