//! What is entered into an access point: values for its page, and files for those that are set up by files.

use std::net::IpAddr;

/// What an access point needs to know.
pub(crate) struct Values<'a> {
    /// What the WLAN is called.
    pub(crate) ssid: &'a str,
    /// What the access point is called.
    pub(crate) name: &'a str,
    /// Where the RADIUS server is.
    pub(crate) server: IpAddr,
    /// The secret that both know.
    pub(crate) secret: &'a str,
}

/// The port for questions (RFC 2865).
pub(crate) const AUTH_PORT: u16 = 1812;
/// The port for reports (RFC 2866).
pub(crate) const ACCOUNTING_PORT: u16 = 1813;
/// How often an access point reports who is there, in seconds.
pub(crate) const INTERIM_SECS: u16 = 600;

impl Values<'_> {
    /// A configuration of hostapd, for Wi-Fi cards that Linux drives.
    /// <https://w1.fi/cgit/hostap/plain/hostapd/hostapd.conf>
    pub(crate) fn hostapd(&self) -> String {
        // As digits, a name needs no quotes that it could break out of.
        let ssid: String = self.ssid.bytes().map(|byte| format!("{byte:02x}")).collect();
        let Self { server, secret, .. } = self;
        let name = plain(self.name);
        format!(
            "interface=wlan0\ndriver=nl80211\nssid2={ssid}\nhw_mode=g\nchannel=1\n\
             wpa=2\nwpa_key_mgmt=WPA-EAP\nrsn_pairwise=CCMP\nieee80211w=1\nieee8021x=1\neap_server=0\n\
             nas_identifier={name}\nauth_server_addr={server}\nauth_server_port={AUTH_PORT}\nauth_server_shared_secret={secret}\n\
             acct_server_addr={server}\nacct_server_port={ACCOUNTING_PORT}\nacct_server_shared_secret={secret}\n\
             radius_acct_interim_interval={INTERIM_SECS}\n\
             dynamic_vlan=1\nvlan_tagged_interface=eth0\nvlan_naming=1\nieee80211n=1\nwmm_enabled=1\n"
        )
    }

    /// Commands for OpenWrt, to be pasted into its shell.
    /// <https://openwrt.org/docs/guide-user/network/wifi/basic>
    pub(crate) fn openwrt(&self) -> String {
        let set = |option: &str, value: &str| format!("uci set wireless.schule.{option}={}\n", quoted(value));
        let server = self.server.to_string();
        let (auth, accounting) = (AUTH_PORT.to_string(), ACCOUNTING_PORT.to_string());
        let options = [
            ("device", "radio0"),
            ("network", "lan"),
            ("mode", "ap"),
            ("ssid", self.ssid),
            ("encryption", "wpa2"),
            ("ieee80211w", "1"),
            ("nasid", self.name),
            ("auth_server", &server),
            ("auth_port", &auth),
            ("auth_secret", self.secret),
            ("acct_server", &server),
            ("acct_port", &accounting),
            ("acct_secret", self.secret),
            ("acct_interval", "600"),
            ("dynamic_vlan", "1"),
            // The cable by which VLANs leave the access point; without it whoever is in one is nowhere.
            ("vlan_tagged_interface", "eth0"),
            ("vlan_naming", "1"),
        ];
        let lines: String = options.iter().map(|(option, value)| set(option, value)).collect();
        format!("uci set wireless.schule=wifi-iface\n{lines}uci commit wireless\nwifi reload\n")
    }
}

/// A text for a shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A name for a line of a file that has no quotes.
fn plain(text: &str) -> String {
    let sign = |sign: char| if sign.is_ascii_alphanumeric() || "-_.".contains(sign) { sign } else { '-' };
    text.chars().map(sign).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const VALUES: Values<'_> = Values {
        ssid: "Schule 'n' \"Söhne\"; reboot",
        name: "AP 'Halle'\nchannel=13",
        server: IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)),
        secret: "geheim2345geheim",
    };

    #[test]
    fn a_shell_reads_what_was_meant_and_runs_nothing_else() {
        // A shell in which the commands only say what they were given.
        let script = format!(
            "uci() {{ for one in \"$@\"; do printf '%s|' \"$one\"; done; echo; }}\nwifi() {{ :; }}\n{}",
            VALUES.openwrt()
        );
        let out = Command::new("sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8(out.stdout).unwrap();
        assert!(out.status.success() && out.stderr.is_empty(), "{said}");
        assert!(said.contains("set|wireless.schule.ssid=Schule 'n' \"Söhne\"; reboot|\n"), "{said}");
        assert!(said.contains("set|wireless.schule.nasid=AP 'Halle'\nchannel=13|\n"), "{said}");
        assert!(said.contains("set|wireless.schule.auth_secret=geheim2345geheim|\n"), "{said}");
    }

    #[test]
    fn hostapd_understands_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hostapd.conf");
        let text = VALUES.hostapd();
        assert_eq!(text.matches("channel=").count(), 1, "{text}");
        // There is no radio here: it reads the whole file, then finds no card of that name.
        std::fs::write(&path, text.replace("interface=wlan0", "interface=none0")).unwrap();
        let out = Command::new("hostapd").arg(&path).output().expect("Debian's package hostapd is installed");
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(
            said.contains("none0") && !said.contains("Line ") && !said.contains("errors found"),
            "{said}"
        );
        let bad = format!("{text}auth_secret=x\n");
        std::fs::write(&path, bad).unwrap();
        let out = Command::new("hostapd").arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(said.contains("unknown configuration item"), "{said}");
    }
}
