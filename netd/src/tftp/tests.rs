//! The server against clients that other people wrote, over loopback.

use std::net::SocketAddrV4;
use std::process::Stdio;
use std::time::Duration;

use inventory::{By, Inventory, Sighting, UnixMillis};
use tokio::net::UdpSocket;
use tokio::process::Command;

use super::{Config, Handle, serve};

struct Stage {
    dir: tempfile::TempDir,
    handle: Handle,
    inventory: Inventory,
}

async fn stage() -> Stage {
    let dir = tempfile::tempdir().unwrap();
    let boot = dir.path().join("boot");
    std::fs::create_dir(&boot).unwrap();
    std::fs::write(dir.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink("../secret", boot.join("link")).unwrap();
    for (name, bytes) in [("empty", 0), ("block", 512), ("odd", 100_001), ("big", 300_000)] {
        std::fs::write(boot.join(name), pattern(bytes)).unwrap();
    }
    let inventory =
        Inventory::open(&format!("sqlite://{}", dir.path().join("i.db").display())).await.unwrap();
    let handle = serve(
        Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            interfaces: vec!["lo".into()],
            boot_dir: boot,
            http_port: 8067,
            agent_port: 8443,
            kernel_arguments: String::new(),
        },
        inventory.clone(),
    )
    .await
    .unwrap();
    Stage { dir, handle, inventory }
}

fn pattern(bytes: u32) -> Vec<u8> {
    (0..bytes).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

impl Stage {
    fn address(&self) -> SocketAddrV4 {
        self.handle.address()
    }

    /// Runs a client that writes what it loads to `out`, and returns that.
    async fn load(&self, program: &str, arguments: &str) -> Result<Vec<u8>, String> {
        let out = self.dir.path().join("out");
        drop(std::fs::remove_file(&out));
        let arguments = arguments
            .replace("OUT", out.to_str().unwrap())
            .replace("HOST", "127.0.0.1")
            .replace("PORT", &self.address().port().to_string());
        let run = Command::new(program)
            .args(arguments.split(' ').map(|word| word.replace('~', " ")))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let done =
            tokio::time::timeout(Duration::from_secs(60), run).await.expect("the client ends").unwrap();
        let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        std::fs::read(&out).map_err(|_| said)
    }

    async fn client(&self) -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0").await.unwrap()
    }

    /// Sends one request and returns the first answer and who sent it.
    async fn ask(&self, request: &[u8]) -> (Vec<u8>, std::net::SocketAddr, UdpSocket) {
        let client = self.client().await;
        client.send_to(request, self.address()).await.unwrap();
        let (answer, from) = receive(&client).await.expect("an answer");
        (answer, from, client)
    }
}

async fn receive(client: &UdpSocket) -> Option<(Vec<u8>, std::net::SocketAddr)> {
    let mut buffer = vec![0; 70_000];
    let (bytes, from) =
        tokio::time::timeout(Duration::from_secs(10), client.recv_from(&mut buffer)).await.ok()?.unwrap();
    buffer.truncate(bytes);
    Some((buffer, from))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_four_authors_load_the_same_bytes() {
    let stage = stage().await;
    for (file, bytes) in [("odd", 100_001), ("block", 512), ("big", 300_000)] {
        for (program, arguments) in [
            ("tftp", "-m binary HOST PORT -c get FILE OUT"),
            ("busybox", "tftp -g -r FILE -l OUT HOST PORT"),
            ("busybox", "tftp -b 1468 -g -r FILE -l OUT HOST PORT"),
            ("curl", "-sS --tftp-no-options -o OUT tftp://HOST:PORT/FILE"),
            ("curl", "-sS --tftp-blksize 1428 -o OUT tftp://HOST:PORT/FILE"),
            ("curl", "-sS --tftp-blksize 65464 -o OUT tftp://HOST:PORT/FILE"),
            (
                "atftp",
                "--option blksize~1024 --option windowsize~8 --option tsize -g -r FILE -l OUT HOST PORT",
            ),
        ] {
            let got = stage.load(program, &arguments.replace("FILE", file)).await;
            assert!(got == Ok(pattern(bytes)), "{program} {arguments} {file}: {:?}", got.map(|g| g.len()));
        }
    }
}

#[tokio::test]
async fn what_does_not_exist_or_lies_outside_is_refused_with_its_code() {
    let stage = stage().await;
    for (request, code, text) in [
        (&b"\0\x01nothing\0octet\0"[..], 1, "no such file"),
        (b"\0\x01../secret\0octet\0", 1, "no such file"),
        (b"\0\x01..\\secret\0octet\0", 1, "no such file"),
        (b"\0\x01/etc/passwd\0octet\0", 1, "no such file"),
        (b"\0\x01link\0octet\0", 2, "not a plain file"),
        (b"\0\x02block\0octet\0", 2, "this server is read only"),
        (b"\0\x01block\0netascii\0", 4, "only mode octet is served"),
        (b"\0\x01block", 4, "the request is not complete"),
    ] {
        let (answer, from, _) = stage.ask(request).await;
        assert_eq!(answer, [&[0, 5, 0, code], text.as_bytes(), b"\0"].concat(), "{request:?}");
        // RFC 1350 section 4: the server answers from a port of its own choice.
        assert_ne!(from.port(), stage.address().port());
    }
}

#[tokio::test]
async fn a_tiny_request_for_huge_blocks_and_windows_gets_small_ones() {
    let stage = stage().await;
    let (answer, from, client) =
        stage.ask(b"\0\x01/big\0octet\0blksize\x0065464\0windowsize\x0065535\0tsize\x000\0").await;
    assert_eq!(answer, b"\0\x06blksize\x001468\0windowsize\x0016\0tsize\x00300000\0");
    client.send_to(b"\0\x04\0\0", from).await.unwrap();
    for block in 1..=16_u8 {
        let (data, _) = receive(&client).await.unwrap();
        assert_eq!((data.len(), &data[..4]), (1472, &[0, 3, 0, block][..]));
    }
    // Nothing more comes before an acknowledgement, except the repetition after a second.
    let (again, _) = receive(&client).await.unwrap();
    assert_eq!(&again[..4], [0, 3, 0, 1]);
    client.send_to(b"\0\x05\0\0enough\0", from).await.unwrap();
}

#[tokio::test]
async fn firmware_that_asks_for_the_size_and_goes_away_leaves_nothing_behind() {
    let stage = stage().await;
    // More often than sessions of one client are allowed at once.
    for _ in 0..40 {
        let (answer, from, client) = stage.ask(b"\0\x01block\0octet\0tsize\x000\0").await;
        assert_eq!(answer, b"\0\x06tsize\x00512\0");
        client.send_to(b"\0\x05\0\x08User aborted the transfer\0", from).await.unwrap();
        // The next request is answered only when the session has ended, so ask until it is.
    }
    assert_eq!(stage.load("curl", "-sS -o OUT tftp://HOST:PORT/block").await, Ok(pattern(512)));
}

#[tokio::test]
async fn one_client_has_few_transfers_at_once() {
    let stage = stage().await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let client = stage.client().await;
        client.send_to(b"\0\x01big\0octet\0", stage.address()).await.unwrap();
        clients.push(client);
    }
    let mut answered = 0;
    for client in &clients {
        let answer = receive_within(client, Duration::from_millis(300)).await;
        answered += usize::from(answer.is_some());
    }
    assert_eq!(answered, 8);
}

async fn receive_within(client: &UdpSocket, time: Duration) -> Option<usize> {
    let mut buffer = [0; 2048];
    tokio::time::timeout(time, client.recv(&mut buffer)).await.ok()?.ok()
}

#[tokio::test]
async fn a_request_sent_twice_starts_one_transfer() {
    let stage = stage().await;
    let client = stage.client().await;
    for _ in 0..3 {
        client.send_to(b"\0\x01block\0octet\0", stage.address()).await.unwrap();
    }
    let (first, from) = receive(&client).await.unwrap();
    assert_eq!(&first[..4], [0, 3, 0, 1]);
    client.send_to(b"\0\x04\0\x01", from).await.unwrap();
    let (second, again) = receive(&client).await.unwrap();
    assert_eq!((&second[..], again), (&[0, 3, 0, 2][..], from));
}

#[tokio::test]
async fn scripts_follow_the_inventory() {
    let stage = stage().await;
    let entry = stage.load("curl", "-sS -o OUT tftp://HOST:PORT//grub/grub.cfg").await.unwrap();
    assert!(String::from_utf8(entry).unwrap().contains("by-mac"));
    assert!(stage.script_of("52-54-00-77-00-02").await.contains("http,127.0.0.1:8067"));

    approve(&stage.inventory, "52:54:00:77:00:02").await;
    let deadline = inventory::clock::instant() + Duration::from_secs(5);
    while !stage.script_of("52:54:00:77:00:02").await.contains("chainloader") {
        assert!(inventory::clock::instant() < deadline, "the script follows");
    }
}

impl Stage {
    async fn script_of(&self, mac: &str) -> String {
        let url = format!("-sS -o OUT tftp://HOST:PORT//grub/by-mac/{mac}.cfg");
        String::from_utf8(self.load("curl", &url).await.unwrap()).unwrap()
    }
}

/// Makes the PC with that card an approved device without a job.
async fn approve(inventory: &Inventory, mac: &str) {
    let by = By { actor: "test", at: UnixMillis(1) };
    let room = inventory.create_room(by, "204").await.unwrap();
    let hardware = serde_json::json!({ "nics": [{ "mac": mac }] });
    let sighting =
        Sighting { key: &"ab".repeat(32).parse().unwrap(), hardware: &hardware, address: "10.77.0.9" };
    let waiting = inventory.see_waiting(by, &sighting).await.unwrap();
    let name = "pc1".parse().unwrap();
    inventory.approve(by, waiting.id, &name, room.id, None, None).await.unwrap();
}
