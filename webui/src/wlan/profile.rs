//! Profiles for people's own devices: one file, and the device knows network, server and name. What a person would have to type and
//! tick by hand is where passwords get lost to strangers' access points.

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipados::profile::{
    Certificate, Eap, InnerAuthentication, Part, PasswordMethod, Payload, Profile, Wifi, WifiSecurity,
    WifiStandard,
};
use ipados::values::Blob;

/// What every profile says.
pub(crate) struct Joining<'a> {
    pub(crate) school: &'a str,
    pub(crate) ssid: &'a str,
    /// The name in the RADIUS server's certificate.
    pub(crate) server: &'a str,
    /// Certificate of the school's authority, PEM.
    pub(crate) authority: &'a str,
    /// Whose profile it is.
    pub(crate) user: &'a str,
}

/// The name that is visible outside the tunnel.
pub(crate) const OUTSIDE: &str = "anonymous";

impl Joining<'_> {
    /// A configuration profile for iPhone, iPad and Mac, not signed. `None` if a name does not fit into one.
    pub(crate) fn apple(&self) -> Option<Vec<u8>> {
        let ca: ipados::values::PartName = "ca".parse().ok()?;
        let eap = Eap::Password {
            method: PasswordMethod::Ttls(InnerAuthentication::Pap),
            user_name: Some(self.user.to_owned()),
            password: None,
            outer_identity: Some(OUTSIDE.to_owned()),
        };
        let security = WifiSecurity::Enterprise {
            standard: WifiStandard::Wpa2,
            eap,
            server_names: vec![self.server.parse().ok()?],
            anchors: vec![ca.clone()],
        };
        let ssid = self.ssid.parse().ok()?;
        let wifi = Wifi { ssid, hidden: false, auto_join: true, own_address: false, security };
        let part = |name, payload| Part { name, title: None, payload };
        let der = Blob::from(der(self.authority)?);
        let profile = Profile {
            identifier: "schule.hausmeister.wlan.own".parse().ok()?,
            title: format!("WLAN {}", self.ssid).parse().ok()?,
            organization: self.school.parse().ok()?,
            description: None,
            locked: false,
            removed_at: None,
            parts: vec![
                part(ca, Payload::RootCertificate(Certificate { der })),
                part("wifi".parse().ok()?, Payload::Wifi(wifi)),
            ],
        };
        Some(profile.write().ok()?.xml)
    }

    /// A WLAN profile for Windows, for `netsh wlan add profile`.
    /// <https://learn.microsoft.com/windows/win32/nativewifi/wlan-profileschema-schema>
    /// <https://learn.microsoft.com/windows/win32/eaphost/eapttlsconnectionpropertiesv1schema-schema>
    pub(crate) fn windows(&self) -> Option<String> {
        let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &der(self.authority)?);
        let thumbprint: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Windows { ssid: self.ssid, server: self.server, thumbprint: thumbprint.join(" ") }.render().ok()
    }
}

#[derive(Template)]
#[template(path = "wlan_windows.xml")]
struct Windows<'a> {
    ssid: &'a str,
    server: &'a str,
    thumbprint: String,
}

/// The bytes of a certificate.
fn der(pem: &str) -> Option<Vec<u8>> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    STANDARD.decode(body).ok()
}

#[cfg(test)]
mod tests {
    use inventory::ca::Authority;

    use super::*;

    #[test]
    fn profiles_name_network_server_and_authority_and_no_password() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::ensure(dir.path(), "Schule").unwrap();
        let joining = Joining {
            school: "Schule <&> \"Söhne\"",
            ssid: "Schule <&> 'n'",
            server: "radius.schule.internal",
            authority: authority.pem(),
            user: "lea",
        };
        let apple = String::from_utf8(joining.apple().unwrap()).unwrap();
        for part in [
            "radius.schule.internal",
            "Schule &lt;&amp;&gt; ",
            "com.apple.security.root",
            "PAP",
            "lea",
            OUTSIDE,
        ] {
            assert!(apple.contains(part), "{part}: {apple}");
        }
        assert!(!apple.contains("UserPassword"), "{apple}");

        let windows = joining.windows().unwrap();
        let path = dir.path().join("profile.xml");
        std::fs::write(&path, &windows).unwrap();
        let read = "import sys, xml.etree.ElementTree as e\nfor x in e.parse(sys.argv[1]).getroot().iter(): print(x.tag.split('}')[1], (x.text or '').strip())";
        let out = std::process::Command::new("python3").args(["-c", read]).arg(&path).output().unwrap();
        let said = String::from_utf8(out.stdout).unwrap();
        for line in [
            "name Schule <&> 'n'",
            "ServerNames radius.schule.internal",
            "DisablePrompt true",
            "PAPAuthentication ",
        ] {
            assert!(said.contains(line), "{line}: {said}");
        }
        let openssl = std::process::Command::new("openssl")
            .args(["x509", "-noout", "-fingerprint", "-sha1", "-in"])
            .arg(dir.path().join("ca.pem"))
            .output()
            .unwrap();
        let fingerprint = String::from_utf8(openssl.stdout).unwrap().to_lowercase();
        let fingerprint = fingerprint.trim().rsplit('=').next().unwrap().replace(':', " ");
        assert!(said.contains(&format!("TrustedRootCAHash {fingerprint}")), "{said}");
    }
}
