//! The whole: HTTPS with the school's certificate on a port of our own.

use std::sync::Arc;

use inventory::ca::Authority;
use inventory::config::Site;
use inventory::{Inventory, clock};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{Config, StartError, run};

async fn exchange(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    path: &str,
) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that closes without TLS's goodbye has said everything all the same.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn pages_are_served_over_tls_by_a_certificate_of_the_schools_authority() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site { data_dir: dir.path().to_owned(), ..Site::default() };
    let inventory = Inventory::open(&site.database_url()).await.unwrap();
    let loopback = "127.0.0.1:0".parse().unwrap();
    let config = Config { listen: loopback, redirect_listen: Some(loopback), ..Config::default() };
    let without = run(&site, config.clone(), inventory.clone()).await;
    assert!(matches!(without, Err(StartError::Certificate(_))), "there is no authority yet");

    let authority = Authority::ensure(&site.keys_dir(), "Testschule").unwrap();
    let started = clock::instant();
    let handle = run(&site, config, inventory).await.unwrap();
    assert!(started.elapsed().as_secs() < 5);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let client =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    let client = TlsConnector::from(Arc::new(client));
    for name in ["localhost", "127.0.0.1", "hausmeister.schule.internal"] {
        let tcp = TcpStream::connect(handle.address()).await.unwrap();
        let stream = client.connect(ServerName::try_from(name).unwrap(), tcp).await.expect(name);
        let answer = exchange(stream, "/signin").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("hausmeister init"), "{answer}");
    }
    let plain = TcpStream::connect(handle.redirect_address().unwrap()).await.unwrap();
    let answer = exchange(plain, "/devices").await.to_lowercase();
    let expected = format!("location: https://localhost:{}/devices", handle.address().port());
    assert!(answer.starts_with("http/1.1 307") && answer.contains(&expected), "{answer}");

    let address = handle.address();
    drop(handle);
    let closed = tokio::time::timeout(std::time::Duration::from_secs(5), async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    closed.await.expect("dropping the handle closes the port");
}
