//! E-mail, through a mail server of our own on loopback.

use std::sync::{Arc, Mutex};

use axum::http::{Method, StatusCode};
use inventory::{By, clock};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::mail::post;
use crate::testing::Desk;

/// A mail server that wants STARTTLS and a password, and what it took: recipient and message.
struct Sink {
    port: u16,
    took: Arc<Mutex<Vec<(String, String)>>>,
    passwords: Arc<Mutex<Vec<String>>>,
}

impl Sink {
    async fn start(desk: &Desk) -> Self {
        let issued = desk.authority.issue_server(&["127.0.0.1".parse().unwrap()], &[]).unwrap();
        let config = ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(issued.certificate)],
                PrivateKeyDer::Pkcs8(issued.key.into()),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = Self {
            port: listener.local_addr().unwrap().port(),
            took: Arc::default(),
            passwords: Arc::default(),
        };
        let (tls, took, passwords) =
            (TlsAcceptor::from(Arc::new(config)), sink.took.clone(), sink.passwords.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // Whoever goes away in the middle left no message.
                let _ = serve(stream, &tls, &took, &passwords).await;
            }
        });
        sink
    }

    fn recipients(&self) -> Vec<String> {
        self.took.lock().unwrap().iter().map(|(to, _)| to.clone()).collect()
    }
}

async fn serve(
    stream: TcpStream,
    tls: &TlsAcceptor,
    took: &Mutex<Vec<(String, String)>>,
    passwords: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut plain = BufReader::new(stream);
    plain.write_all(b"220 mail.schule.example ESMTP\r\n").await?;
    loop {
        let mut line = String::new();
        plain.read_line(&mut line).await?;
        match line.get(..4).unwrap_or_default() {
            "EHLO" => plain.write_all(b"250-mail\r\n250 STARTTLS\r\n").await?,
            "STAR" => break plain.write_all(b"220 go on\r\n").await?,
            _ => return plain.write_all(b"530 STARTTLS first\r\n").await,
        }
    }
    let mut stream = BufReader::new(tls.accept(plain.into_inner()).await?);
    while session(&mut stream, took, passwords).await? {}
    Ok(())
}

/// One line of the client's; whether it goes on.
async fn session<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    took: &Mutex<Vec<(String, String)>>,
    passwords: &Mutex<Vec<String>>,
) -> std::io::Result<bool> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(false);
    }
    let answer = match line.get(..4).unwrap_or_default() {
        "EHLO" => "250-mail\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n",
        "AUTH" => {
            passwords.lock().unwrap().push(line.trim_end().to_owned());
            // base64 of "\0hausmeister\0geheim".
            match line.trim_end().ends_with("AGhhdXNtZWlzdGVyAGdlaGVpbQ==") {
                true => "235 welcome\r\n",
                false => "535 wrong password\r\n",
            }
        }
        "MAIL" => "250 well\r\n",
        "RCPT" if line.contains("niemand@") => "550 nobody of that name\r\n",
        "RCPT" => {
            let to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
            took.lock().unwrap().push((to, String::new()));
            "250 well\r\n"
        }
        "DATA" => {
            stream.write_all(b"354 go on\r\n").await?;
            let mut message = String::new();
            while !message.ends_with("\r\n.\r\n") {
                if stream.read_line(&mut message).await? == 0 {
                    return Ok(false);
                }
            }
            took.lock().unwrap().last_mut().unwrap().1 = message;
            "250 taken\r\n"
        }
        "QUIT" => "221 bye\r\n",
        _ => "250 well\r\n",
    };
    stream.write_all(answer.as_bytes()).await?;
    Ok(true)
}

fn form<'a>(port: &'a str, recipients: &'a str, password: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("host", "127.0.0.1"),
        ("port", port),
        ("security", "starttls"),
        ("username", "hausmeister"),
        ("password", password),
        ("sender", "Hausmeister <hausmeister@schule.example>"),
        ("recipients", recipients),
        ("report", "1"),
    ]
}

async fn round(desk: &Desk) -> bool {
    let settings = desk.inventory.mail_settings().await.unwrap().unwrap();
    post::round(&desk.app, &settings).await.unwrap()
}

#[tokio::test]
async fn the_morning_report_reaches_everybody_once_and_says_who_it_did_not_reach() {
    let desk = Desk::new().await;
    let sink = Sink::start(&desk).await;
    let port = sink.port.to_string();
    let to = "a@schule.example\nniemand@schule.example\n\n b@schule.example ";
    let saved = desk.post("/mail", &form(&port, to, "geheim")).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    let page = desk.get("/mail").await.body;
    assert!(page.contains("niemand@schule.example") && !page.contains("geheim"), "{page}");
    let stored = desk.inventory.mail_settings().await.unwrap().unwrap();
    assert!(!stored.login.unwrap().sealed_password.contains("geheim"));

    assert!(!round(&desk).await);
    assert_eq!(sink.recipients(), ["a@schule.example", "b@schule.example"]);
    let (_, message) = sink.took.lock().unwrap()[0].clone();
    let (head, body) = message.split_once("\r\n\r\n").unwrap();
    for line in [
        "From: Hausmeister <hausmeister@schule.example>",
        "To: a@schule.example",
        "Auto-Submitted: auto-generated",
        "Content-Type: text/plain; charset=utf-8",
    ] {
        assert!(head.lines().any(|header| header == line), "{line}: {head}");
    }
    assert!(body.contains("Raum 204: 2/5 bereit"), "{body}");
    assert!(body.contains("https://netz.schule.example/night"), "{body}");
    let notices = desk.inventory.notices().await.unwrap();
    let [notice] = &notices.into_iter().filter(|n| n.source == "mail").collect::<Vec<_>>()[..] else {
        panic!("not one")
    };
    assert_eq!(notice.place, "niemand@schule.example");
    assert!(notice.text.contains("550") && notice.text.contains("nobody of that name"), "{}", notice.text);
    assert!(desk.get("/").await.body.contains("konnte nicht gesendet werden"));

    // Only who did not get it is tried again; a reader less, and all is well.
    assert!(!round(&desk).await);
    assert_eq!(sink.recipients().len(), 2);
    desk.post("/mail", &form(&port, "a@schule.example\nb@schule.example", "")).await;
    assert!(round(&desk).await);
    assert_eq!(sink.recipients().len(), 2);
    assert!(desk.inventory.notices().await.unwrap().iter().all(|notice| notice.source != "mail"));
}

#[tokio::test]
async fn a_test_message_says_why_it_was_not_taken() {
    let desk = Desk::new().await;
    assert_eq!(desk.json(Method::POST, "/api/v1/mail/test", json!({})).await.status, StatusCode::NOT_FOUND);
    let sink = Sink::start(&desk).await;
    let port = sink.port.to_string();
    let two = "a@schule.example\nb@schule.example";
    desk.post("/mail", &form(&port, two, "falsch")).await;
    let refused = desk.json(Method::POST, "/api/v1/mail/test", json!({})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.body.contains("wrong password"), "{}", refused.body);
    // Nobody is locked out for a wrong password that was tried for every recipient.
    assert_eq!(sink.passwords.lock().unwrap().len(), 1);
    assert!(!round(&desk).await);
    assert_eq!(sink.passwords.lock().unwrap().len(), 2);

    desk.post("/mail", &form(&port, two, "geheim")).await;
    assert_eq!(desk.json(Method::POST, "/api/v1/mail/test", json!({})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(sink.recipients().len(), 2);
    let by = By { actor: "test", at: clock::now() };
    let mut strange = desk.inventory.mail_settings().await.unwrap().unwrap();
    strange.host = "localhost".into();
    desk.inventory.set_mail_settings(by, &strange).await.unwrap();
    let refused = desk.json(Method::POST, "/api/v1/mail/test", json!({})).await;
    assert!(refused.body.contains("password cannot be read"), "sealed for another server: {}", refused.body);
}

#[tokio::test]
async fn a_password_stays_with_its_server_and_leaves_only_encrypted() {
    let desk = Desk::new().await;
    let wish = |port: u16, security: &str, password: Option<&str>| {
        json!({"host": "mail.schule.example", "port": port, "security": security, "username": "hausmeister",
               "password": password, "sender": "a@schule.example", "recipients": ["b@schule.example"]})
    };
    let put = |body| desk.json(Method::PUT, "/api/v1/mail", body);
    let refused = put(wish(587, "starttls", None)).await;
    assert!(refused.body.contains("needs its password"), "there is none yet: {}", refused.body);
    assert_eq!(put(wish(587, "starttls", Some("geheim"))).await.status, StatusCode::NO_CONTENT);
    assert_eq!(put(wish(587, "starttls", None)).await.status, StatusCode::NO_CONTENT, "it stays");
    assert_eq!(put(wish(588, "starttls", None)).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(put(wish(587, "none", Some("geheim"))).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let read = desk.get("/api/v1/mail").await.json();
    assert_eq!(
        (&read["port"], &read["username"], &read["password"]),
        (&json!(587), &json!("hausmeister"), &json!(null))
    );

    let shown = desk.post("/mail", &form("587", "nicht\n", "x")).await;
    assert_eq!(shown.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(shown.body.contains("„nicht“ ist keine E-Mail-Adresse"), "{}", shown.body);
    for (host, recipients) in [("", "b@schule.example"), ("http://x", "b@schule.example"), ("mail", "")] {
        let body = json!({"host": host, "port": 25, "security": "none", "sender": "a@schule.example", "recipients": [recipients]});
        assert_eq!(put(body).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{host} {recipients}");
    }
}
