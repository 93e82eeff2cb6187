//! What the kernel command line says to the boot environment.

/// The parameters that matter here. Unknown ones belong to the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cmdline {
    /// `hausmeister.server`: where `deployd` answers, for example `https://10.77.0.1:8443`, without a slash at the end.
    pub server: Option<String>,
    /// `hausmeister.time`: the server's clock when it wrote the boot script, seconds since 1970 UTC.
    pub time: Option<i64>,
    /// Serial lines among the `console=` parameters, as names below `/dev`.
    pub serial_consoles: Vec<String>,
}

impl Cmdline {
    /// Reads the content of `/proc/cmdline`.
    pub fn parse(text: &str) -> Cmdline {
        let mut cmdline = Cmdline::default();
        for word in text.split_ascii_whitespace() {
            let Some((key, value)) = word.split_once('=') else { continue };
            match key {
                "hausmeister.server" => cmdline.server = Some(value.trim_end_matches('/').to_owned()),
                "hausmeister.time" => cmdline.time = value.parse().ok(),
                "console" => cmdline.add_console(value),
                _ => {}
            }
        }
        cmdline
    }

    fn add_console(&mut self, value: &str) {
        let name = value.split(',').next().unwrap_or_default();
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric());
        let is_screen = name.strip_prefix("tty").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
        if plain && !is_screen && !name.is_empty() && self.serial_consoles.iter().all(|c| c != name) {
            self.serial_consoles.push(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_and_the_consoles_are_found_among_kernel_parameters() {
        let parsed = Cmdline::parse(
            "BOOT_IMAGE=/vmlinuz hausmeister.server=https://10.77.0.1:8443/ hausmeister.time=1795300000 console=tty0 \
             console=ttyS0,115200 console=ttyS0 console=../etc panic=30 quiet\n",
        );
        assert_eq!(parsed.server.as_deref(), Some("https://10.77.0.1:8443"));
        assert_eq!(parsed.time, Some(1_795_300_000));
        assert_eq!(parsed.serial_consoles, ["ttyS0"]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".*") {
            Cmdline::parse(&text);
        }
    }
}
