//! Firmware's view: plain HTTP.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{School, by, some_chunks, until};

/// Sends one request and reads the answer: head and body.
fn ask(school: &School, request: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(school.handle().boot_address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let at = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(all.len().saturating_sub(4));
    let body = all.split_off(at + 4);
    (String::from_utf8(all).unwrap(), body)
}

fn request(school: &School, method: &str, path: &str, header: &str) -> (String, Vec<u8>) {
    ask(school, &format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n"))
}

fn get(school: &School, path: &str) -> (String, String) {
    let (head, body) = request(school, "GET", path, "");
    (head, String::from_utf8(body).unwrap())
}

fn status(head: &str) -> &str {
    &head[9..12]
}

fn school_with_kernel() -> (School, Vec<u8>) {
    let school = School::open();
    let kernel = some_chunks(1, 100).concat();
    std::fs::write(school.site.boot_dir().join("vmlinuz"), &kernel).unwrap();
    (school, kernel)
}

#[test]
fn files_come_whole_with_their_length() {
    let (school, kernel) = school_with_kernel();
    let length = format!("Content-Length: {}\r\n", kernel.len());
    for path in ["/boot/vmlinuz", "/boot//vmlinuz", "//boot/vmlinuz"] {
        let (head, body) = request(&school, "GET", path, "");
        assert!(head.contains(&length) && !head.contains("chunked"), "{head}");
        assert!(status(&head) == "200" && body == kernel, "{path} {head}");
    }
    let (head, body) = request(&school, "HEAD", "/boot/vmlinuz", "");
    assert!(status(&head) == "200" && head.contains(&length) && body.is_empty(), "{head}");
    let (head, body) = ask(&school, "GET /boot/vmlinuz HTTP/1.0\r\n\r\n");
    assert!(status(&head) == "200" && body == kernel, "{head}");
}

#[test]
fn a_part_of_a_file_can_be_asked_for() {
    let (school, kernel) = school_with_kernel();
    let (head, body) = request(&school, "GET", "/boot/vmlinuz", "Range: bytes=200000-700000\r\n");
    assert_eq!(status(&head), "206");
    assert!(head.contains(&format!("Content-Range: bytes 200000-700000/{}\r\n", kernel.len())), "{head}");
    assert_eq!(body, kernel[200_000..=700_000]);
    let (head, _) = request(&school, "GET", "/boot/vmlinuz", "Range: bytes=99999999-\r\n");
    assert!(status(&head) == "416" && head.contains(&format!("bytes */{}", kernel.len())), "{head}");
    let (head, body) = request(&school, "GET", "/boot/vmlinuz", "Range: bytes=0-5\r\nIf-Range: \"x\"\r\n");
    assert!(status(&head) == "200" && body == kernel, "{head}");
}

#[test]
fn nothing_outside_the_list_is_served() {
    let (school, _) = school_with_kernel();
    std::fs::write(school.site.boot_dir().join("secret"), "x").unwrap();
    std::fs::create_dir(school.site.boot_dir().join("ipxe.efi")).unwrap();
    for path in [
        "/",
        "/boot/secret",
        "/boot/../keys/ca.key",
        "/boot/%2e%2e/keys/ca.key",
        "/boot/..%2fkeys%2fca.key",
        "/../../etc/passwd",
        "//etc/passwd",
        "/boot/vmlinuz/../../keys/ca.key",
        "/boot/vmlinuz%00.txt",
        "/boot/grub/by-mac/../../../keys/ca.key",
        "/boot/ipxe.efi",
        "/keys/ca.key",
        "/v1/work",
        "/boot/undionly.kpxe",
        "/grub/x86_64-efi/command.lst",
        "/boot/shim_certificate_0.efi",
    ] {
        let (head, _) = get(&school, path);
        assert_eq!(status(&head), "404", "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        assert_eq!(status(&request(&school, method, "/boot/vmlinuz", "").0), "405", "{method}");
    }
    let bent = "http://x/../keys/ca.key";
    assert_ne!(status(&request(&school, "GET", bent, "").0), "200");
    assert_eq!(status(&request(&school, "GET", "/boot/vmlinuz", &"X: y\r\n".repeat(500)).0), "431");
}

#[test]
fn a_missing_kernel_is_a_notice_until_it_is_there() {
    let school = School::open();
    assert_eq!(status(&get(&school, "/boot/vmlinuz").0), "404");
    let notices = school.notices();
    assert_eq!(notices[0].place, "boot/vmlinuz");
    assert!(notices[0].remedy.contains("hausmeister init"));
    std::fs::write(school.site.boot_dir().join("vmlinuz"), "kernel").unwrap();
    assert_eq!(get(&school, "/boot/vmlinuz").1, "kernel");
    assert!(school.notices().is_empty());
}

#[test]
fn what_a_card_boots_follows_the_inventory() {
    let school = School::open();
    let (image, _) = school.image("Debian 12", &some_chunks(1, 1));
    let pc = school.pc();
    let mac = pc.hello.hardware.nics[0].mac.clone();
    let port = school.handle().boot_address().port();
    let environment = format!("http://127.0.0.1:{port}/boot/vmlinuz");
    let ipxe = || get(&school, &format!("/boot/ipxe?mac={mac}")).1;
    let grub = || get(&school, &format!("/boot/grub/by-mac/{}.cfg", mac.to_uppercase().replace(':', "-"))).1;
    assert!(ipxe().starts_with("#!ipxe") && ipxe().contains(&environment), "an unknown PC: {}", ipxe());
    assert!(grub().contains(&format!("(http,127.0.0.1:{port})/boot/vmlinuz")), "{}", grub());
    let agents = school.handle().agent_address().port();
    assert!(ipxe().contains(&format!("hausmeister.server=https://127.0.0.1:{agents}")));

    let images::protocol::HelloReply::Waiting { code } = pc.hello() else { panic!() };
    let device = school.approve(&code, "r204-pc01");
    until("an approved PC boots its disk", || ipxe().contains("sanboot") && grub().contains("chainloader"));
    let id = school.deploy_job(device, image);
    until("a PC with a job boots the environment", || ipxe().contains(&environment));
    school.block(school.inventory.cancel_job(by(), id)).unwrap();
    until("and its disk again", || ipxe().contains("sanboot"));
    assert!(get(&school, "/boot/grub/by-mac/unknown.cfg").1.contains("vmlinuz"));
    for path in ["/grub/grub.cfg", "/boot/grub/grub.cfg"] {
        let (_, text) = get(&school, path);
        assert!(text.contains("by-mac/$net_default_mac.cfg"), "{path}");
        // GRUB asks for the length first.
        let (head, body) = request(&school, "HEAD", path, "");
        assert!(head.contains(&format!("Content-Length: {}\r\n", text.len())) && body.is_empty(), "{head}");
    }
}

#[test]
fn scripts_name_the_address_that_the_configuration_says() {
    let school = School::open_with(|config| {
        config.server_address = Some([10, 77, 0, 1].into());
        config.kernel_arguments = "console=ttyS0,115200".to_owned().try_into().unwrap();
    });
    let script = get(&school, "/boot/ipxe").1;
    assert!(script.contains("https://10.77.0.1:") && script.contains("console=ttyS0,115200"), "{script}");
}

#[test]
fn one_address_cannot_hold_all_connections() {
    let (school, kernel) = school_with_kernel();
    let address = school.handle().boot_address();
    // A slow sender: every connection begins a request and never ends it.
    let mut slow: Vec<TcpStream> = (0..60)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            let _ = stream.write_all(b"GET /boot/vmlinuz HTTP/1.1\r\nHost");
            stream
        })
        .collect();
    let closed = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        !matches!(stream.read(&mut [0]), Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut))
    };
    until("all but a few are closed", || slow.iter_mut().map(&closed).filter(|closed| !closed).count() <= 32);
    drop(slow);
    until("it is served again", || {
        let Ok(mut stream) = TcpStream::connect(address) else { return false };
        let mut all = Vec::new();
        let asked = stream.write_all(b"GET /boot/vmlinuz HTTP/1.0\r\n\r\n");
        asked.is_ok() && stream.read_to_end(&mut all).is_ok() && all.ends_with(&kernel)
    });
}
