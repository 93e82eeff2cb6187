//! Devices of the school: certificates, and keys of printers.

use std::path::PathBuf;

use inventory::mdm::{Arrival, Arrived, NewCertificate, NewInvitation, Reachable};
use inventory::wlan::{Method, Refusal, StationOwner, Who};
use inventory::{DeviceId, EnrolmentId, Hostname, Interface, InterfaceKind, NewDevice};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SerialNumber,
};

use super::support::{KNOWN, School, by, rule};

/// An authority that issues certificates to devices, as `mdm` keeps it.
struct Devices {
    issuer: Issuer<'static, KeyPair>,
}

impl Devices {
    fn new() -> (Self, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Hausmeister iPads");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let certificate = params.self_signed(&key).unwrap();
        let text = format!("{}{}", key.serialize_pem(), certificate.pem());
        (Self { issuer: Issuer::from_ca_cert_pem(&certificate.pem(), key).unwrap() }, text)
    }

    /// The file of a client with a certificate of that serial number.
    fn client(&self, school: &School, serial: &[u8]) -> PathBuf {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "wlan");
        params.serial_number = Some(SerialNumber::from_slice(serial));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let name = format!("{}-{}", serial.first().unwrap(), key.public_key_raw().first().unwrap());
        let (cert_path, key_path) =
            (school.dir.path().join(format!("{name}.crt")), school.dir.path().join(format!("{name}.key")));
        std::fs::write(&cert_path, certificate.pem()).unwrap();
        std::fs::write(&key_path, key.serialize_pem()).unwrap();
        school.client(&format!(
            "eap=TLS\n identity=\"ipad\"\n client_cert=\"{}\"\n private_key=\"{}\"",
            cert_path.display(),
            key_path.display()
        ))
    }
}

/// An iPad with a certificate for the WLAN of that serial number.
async fn ipad(school: &School, serial: &str) -> (EnrolmentId, DeviceId) {
    let inventory = &school.inventory;
    let ends_at = by().at.plus_secs(3600);
    let new = NewInvitation { hash: serial, device: None, room: school.room, group: None, uses: 1, ends_at };
    inventory.create_invitation(by(), new).await.unwrap();
    let challenge = format!("challenge-{serial}");
    let opened = inventory.open_invitation(by(), serial, &challenge, ends_at, None).await.unwrap().unwrap();
    let of_management = format!("m{serial}");
    let new = NewCertificate { fingerprint: &of_management, serial: &of_management, ends_at };
    inventory.certify(by(), &challenge, "key", new).await.unwrap();
    let arrival =
        Arrival { fingerprint: &of_management, udid: serial, serial, model: "iPad13,18", os_version: "18.1" };
    let arrived = inventory.mdm_arrive(by(), arrival).await.unwrap();
    assert_eq!(arrived, Arrived::Welcome(opened.enrolment));
    let how = Reachable { push: "sealed", unlock_token: None, awaiting: false, welcome: &[] };
    inventory.mdm_reachable(by(), opened.enrolment, how).await.unwrap();

    let for_wlan = format!("wlan-{serial}");
    assert!(inventory.challenge_for_wlan(by(), opened.enrolment, &for_wlan, ends_at).await.unwrap());
    let new = NewCertificate { fingerprint: serial, serial, ends_at };
    inventory.certify_for_wlan(by(), &for_wlan, "key", new).await.unwrap();
    let owner = inventory.wlan_certificate_owner(serial).await.unwrap().unwrap();
    (opened.enrolment, owner.device)
}

#[tokio::test]
async fn an_ipad_joins_with_its_certificate_until_it_is_revoked() {
    let school = School::new().await;
    let (devices, authority) = Devices::new();
    std::fs::write(school.site.keys_dir().join("mdm-devices.pem"), authority).unwrap();
    let (_, device) = ipad(&school, "a1b2").await;
    let (leaving, _) = ipad(&school, "c3d4").await;
    school.rules(vec![rule(Who::Ipads, 30)], false).await;
    let daemon = school.run().await;

    let own = devices.client(&school, &[0xa1, 0xb2]);
    let told = school.ask(&own, 1).await;
    assert_eq!((told.joined, told.vlan.as_deref()), (true, Some("30")), "{}", told.text);
    let told = school.ask_as(KNOWN, &own, 1, 2).await;
    assert!(told.joined && told.text.contains("resumed=1"), "{}", told.text);
    assert_eq!(told.vlan.as_deref(), Some("30"));

    let unknown = devices.client(&school, &[0x77, 0x77]);
    assert!(!school.ask(&unknown, 2).await.joined, "issued, but not for the WLAN");
    let (foreign, _) = Devices::new();
    let foreign = foreign.client(&school, &[0xa1, 0xb2]);
    assert!(!school.ask(&foreign, 3).await.joined, "the same serial number of another authority");

    // It leaves management while it is on the WLAN.
    let other = devices.client(&school, &[0xc3, 0xd4]);
    let busy = school.ask_as(KNOWN, &other, 4, 500);
    let leave = async {
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        school.inventory.mdm_leave(by(), leaving).await.unwrap();
    };
    let (told, ()) = tokio::join!(busy, leave);
    assert!(!told.joined && told.text.contains("resumed=1"), "{}", told.text);
    daemon.stop().await;

    let station =
        school.inventory.stations(by().at, 10).await.unwrap().into_iter().find(|one| one.mac.0[5] == 1);
    let station = station.unwrap();
    assert_eq!((station.owner, station.method), (StationOwner::Device(device), Method::Certificate));
    let why = school.inventory.wlan_refusals(10).await.unwrap();
    let of = |card: u8| why.iter().find(|one| one.mac.0[5] == card).map(|one| one.reason);
    assert_eq!(
        (of(2), of(3), of(4)),
        (Some(Refusal::Unknown), Some(Refusal::NotAgreed), Some(Refusal::Revoked))
    );
}

#[tokio::test]
async fn a_printer_gets_its_key_and_an_address_alone_gets_nothing() {
    let school = School::new().await;
    let card = |n: u8| format!("02:00:00:00:01:{n:02x}").parse().unwrap();
    let add = async |name: &str, n: u8| {
        let interfaces = vec![Interface { mac: card(n), kind: InterfaceKind::Wlan, reserved_ip: None }];
        let name: Hostname = name.parse().unwrap();
        let new = NewDevice { name, room: school.room, desired_image: None, interfaces };
        school.inventory.create_device(by(), &new).await.unwrap()
    };
    let printer = add("drucker", 1).await;
    add("fremd", 2).await;
    let key = school.inventory.make_device_key(by(), &school.vault, printer).await.unwrap();
    school.rules(vec![rule(Who::Appliances, 40)], false).await;
    let daemon = school.run().await;

    let ask = |n: u8| {
        format!(
            "User-Name = \"0200000001{n:02x}\"\nUser-Password = \"0200000001{n:02x}\"\nCalling-Station-Id = \"02-00-00-00-01-{n:02X}\"\n\
             Service-Type = Call-Check\n"
        )
    };
    let authenticated = |n| format!("{}Message-Authenticator = 0x00\n", ask(n));
    let answer = school.packet(KNOWN, "auth", &authenticated(1)).await;
    assert!(
        answer.contains("Access-Accept") && answer.contains("Tunnel-Private-Group-Id:0 = \"40\""),
        "{answer}"
    );
    assert!(answer.contains(&key) && answer.contains("Message-Authenticator"), "{answer}");
    let answer = school.packet(KNOWN, "auth", &authenticated(2)).await;
    assert!(answer.contains("Access-Reject"), "a device without a key: {answer}");
    let answer = school.packet(KNOWN, "auth", &ask(1)).await;
    assert_eq!(answer, "", "without Message-Authenticator nobody is answered (CVE-2024-3596)");
    assert!(school.inventory.stations(by().at, 10).await.unwrap().is_empty(), "an address proves nothing");

    let report = |n: u8, status: &str| {
        format!(
            "Acct-Status-Type = {status}\nAcct-Session-Id = \"s1\"\nUser-Name = \"x\"\nCalling-Station-Id = \"02-00-00-00-01-{n:02X}\"\n"
        )
    };
    for status in ["Start", "Interim-Update"] {
        let answer = school.packet(KNOWN, "acct", &report(1, status)).await;
        assert!(answer.contains("Accounting-Response"), "{answer}");
    }
    let stations = school.inventory.stations(by().at, 10).await.unwrap();
    assert_eq!(stations.len(), 1);
    assert_eq!((stations[0].owner, stations[0].online), (StationOwner::Device(printer), true));
    school.packet(KNOWN, "acct", &report(1, "Stop")).await;
    assert!(!school.inventory.stations(by().at, 10).await.unwrap()[0].online);
    daemon.stop().await;
}
