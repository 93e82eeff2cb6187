//! What firmware asks for: pure.

use inventory::MacAddr;

/// Something that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// A file of the boot folder.
    File(&'static str),
    /// The script for iPXE, with the card that booted if it was told.
    Ipxe(Option<MacAddr>),
    /// GRUB's first configuration.
    GrubEntry,
    /// GRUB's configuration for one card; `None` when the card's address makes no sense to us.
    GrubCard(Option<MacAddr>),
}

/// Finds out what a request means. `None` is 404, which firmware asks for on purpose (lists of GRUB modules, revocations).
pub(super) fn route(path: &str, query: Option<&str>) -> Option<Route> {
    let path = decode(path)?;
    // A UEFI's HTTP client joins folder and file to `/boot//grubx64.efi`; shim and GRUB ask below the root.
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let parts = [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()];
    match parts {
        [Some("boot"), Some("ipxe"), None, ..] => Some(Route::Ipxe(query.and_then(card_of_query))),
        [Some("boot"), Some("grub"), Some(rest), more, None] => grub(rest, more),
        [Some("grub"), Some(rest), more, None, _] => grub(rest, more),
        [Some("boot"), Some(name), None, ..] => FILES.into_iter().find(|file| *file == name).map(Route::File),
        _ => None,
    }
}

fn grub(first: &str, second: Option<&str>) -> Option<Route> {
    match (first, second) {
        ("grub.cfg", None) => Some(Route::GrubEntry),
        ("by-mac", Some(name)) => {
            let card = name.strip_suffix(".cfg").or_else(|| name.strip_suffix(".CFG"))?;
            Some(Route::GrubCard(card.parse().ok()))
        }
        _ => None,
    }
}

fn card_of_query(query: &str) -> Option<MacAddr> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("mac="))?;
    decode(value)?.parse().ok()
}

/// Undoes `%41`. `None` for what is no text.
fn decode(raw: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |b: u8| char::from(b).to_digit(16);
        let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// The only files that are served. Everything in them is public.
pub(super) const FILES: [&str; 8] = [
    "vmlinuz",
    "initrd.img",
    "shimx64.efi",
    "grubx64.efi",
    "mmx64.efi",
    "undionly.kpxe",
    "ipxe.efi",
    "snponly.efi",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CARD: Option<MacAddr> = Some(MacAddr([0x52, 0x54, 0, 0x77, 0, 2]));

    #[test]
    fn firmware_finds_what_it_asks_for() {
        let check = |path: &str, expected: Route| assert_eq!(route(path, None), Some(expected), "{path}");
        check("/boot/vmlinuz", Route::File("vmlinuz"));
        check("/boot//grubx64.efi", Route::File("grubx64.efi"));
        check("/boot/grub/grub.cfg", Route::GrubEntry);
        check("/grub/grub.cfg", Route::GrubEntry);
        check("/boot/ipxe", Route::Ipxe(None));
        check("/boot/grub/by-mac/52:54:00:77:00:02.cfg", Route::GrubCard(CARD));
        check("/boot/grub/by-mac/52-54-00-77-00-02.CFG", Route::GrubCard(CARD));
        check("/grub/by-mac/525400770002.cfg", Route::GrubCard(CARD));
        check("/boot/grub/by-mac/52%3a54%3A00%3a77%3a00%3a02.cfg", Route::GrubCard(CARD));
        check("/boot/grub/by-mac/unknown.cfg", Route::GrubCard(None));
    }

    #[test]
    fn ipxe_tells_its_card_in_any_notation() {
        for query in ["mac=52:54:00:77:00:02", "x=1&mac=52-54-00-77-00-02", "mac=52%3A54%3A00%3A77%3A00%3A02"]
        {
            assert_eq!(route("/boot/ipxe", Some(query)), Some(Route::Ipxe(CARD)), "{query}");
        }
        for query in ["", "mac=", "mac=ff:ff:ff:ff:ff:ff", "mac=%", "mac=%zz", "mac=%ff"] {
            assert_eq!(route("/boot/ipxe", Some(query)), Some(Route::Ipxe(None)), "{query}");
        }
    }

    #[test]
    fn nothing_else_is_served() {
        for path in [
            "/",
            "/boot",
            "/boot/",
            "/vmlinuz",
            "/boot/../keys/ca.key",
            "/boot/%2e%2e/keys/ca.key",
            "/boot/..%2fkeys%2fca.key",
            "/boot/vmlinuz/..",
            "/boot/vmlinuz%00",
            "/boot/./vmlinuz",
            "/boot/grub/x86_64-efi/fs.lst",
            "/grub/x86_64-efi/command.lst",
            "/boot/shim_certificate_0.efi",
            "/boot/ipxe/x",
            "/boot/grub/by-mac/52:54:00:77:00:02",
            "/boot/grub/by-mac/a/b.cfg",
            "/boot/grub/by-mac/../../vmlinuz",
            "//etc/passwd",
            "/boot/a/b/c/d/e/f",
        ] {
            assert_eq!(route(path, None), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_request_panics_and_only_listed_files_come_out(path in "(/?(boot|grub|by-mac|%2e|%|[ -~]|\\PC){0,8}){0,6}", query in "\\PC{0,40}") {
            if let Some(Route::File(name)) = route(&path, Some(&query)) {
                prop_assert!(FILES.contains(&name));
            }
        }
    }
}
