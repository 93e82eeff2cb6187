//! The accept loop and one connection's life.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::body::TimedBody;
use crate::connections::Connections;
use crate::{Limits, Peer};

/// A running server. Dropping it stops accepting at once and lets requests that run end within [`Limits::drain`].
#[derive(Debug)]
pub struct Handle {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Handle {
    /// The address that was bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting and waits until the running requests ended, at most [`Limits::drain`].
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take() {
            // A panic inside the task was printed already, and there is nothing left to stop.
            let _ = task.await;
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// Serves `router` over TLS.
///
/// # Errors
/// The listener does not know its own address.
pub fn serve_tls(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    router: Router,
    limits: Limits,
) -> io::Result<Handle> {
    start(listener, Some(TlsAcceptor::from(config)), router, limits)
}

/// Serves `router` without TLS.
///
/// # Errors
/// The listener does not know its own address.
pub fn serve_plain(listener: TcpListener, router: Router, limits: Limits) -> io::Result<Handle> {
    start(listener, None, router, limits)
}

fn start(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
) -> io::Result<Handle> {
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let server = Server { tls, router, limits, stopped };
    let task = tokio::spawn(server.accept(listener));
    Ok(Handle { address, stop, task: Some(task) })
}

#[derive(Clone)]
struct Server {
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
    stopped: watch::Receiver<bool>,
}

impl Server {
    async fn accept(self, listener: TcpListener) {
        let connections = Connections::new(&self.limits);
        let mut running = JoinSet::new();
        let mut stopped = self.stopped.clone();
        loop {
            // Finished tasks are taken out, so that the set does not grow.
            while running.try_join_next().is_some() {}
            let Some(permit) = (tokio::select! {
                permit = connections.room() => permit,
                () = stop_asked(&mut stopped) => break,
            }) else {
                break;
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop_asked(&mut stopped) => break,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // A connection that its client gave up already, or no file descriptor left.
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let Some(place) = connections.place(permit, address.ip()) else {
                tracing::debug!(peer.address = %address, "this address holds its share of connections; closed another one");
                continue;
            };
            let server = self.clone();
            running.spawn(async move {
                server.connection(stream, address).await;
                drop(place);
            });
        }
        drop(listener);
        let ended =
            tokio::time::timeout(self.limits.drain, async { while running.join_next().await.is_some() {} });
        if ended.await.is_err() {
            running.abort_all();
        }
    }

    async fn connection(self, stream: TcpStream, address: SocketAddr) {
        let Ok(local) = stream.local_addr() else { return };
        // Both only improve service; a kernel that refuses them still carries data.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(self.limits.unacknowledged));
        let Some(tls) = self.tls.clone() else {
            return self.http(stream, Peer { address, local, certificates: Arc::new([]) }).await;
        };
        match tokio::time::timeout(self.limits.handshake, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default().into();
                self.http(stream, Peer { address, local, certificates }).await;
            }
            Ok(Err(error)) => {
                tracing::debug!(peer.address = %address, %error, "no TLS connection came about")
            }
            Err(_) => tracing::debug!(peer.address = %address, "the TLS handshake took too long"),
        }
    }

    async fn http<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S, peer: Peer) {
        let Self { router, limits, mut stopped, .. } = self;
        let address = peer.address;
        let service = service_fn(move |request: Request<Incoming>| {
            let (router, peer) = (router.clone(), peer.clone());
            async move {
                let mut request = request.map(|body| Body::new(TimedBody::new(body, limits.body_idle)));
                request.extensions_mut().insert(peer);
                router.oneshot(request).await.map_err(|never: Infallible| never)
            }
        });
        let connection = http1::Builder::new()
            // GRUB knows `Content-Length` only in this spelling.
            .title_case_headers(true)
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = stop_asked(&mut stopped) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(peer.address = %address, %error, "a connection ended early");
        }
    }
}

/// Waits until the server has to stop; also when its handle is gone.
async fn stop_asked(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Pause after the kernel could not hand out a connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Most bytes that a request's head may have.
const HEAD_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use axum::Extension;
    use axum::body::Bytes;
    use axum::routing::{get, post};
    use rustls::ClientConfig;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_rustls::TlsConnector;

    use super::*;

    fn quick() -> Limits {
        let tenth = Duration::from_millis(100);
        Limits { handshake: tenth, head: tenth, body_idle: tenth, drain: 20 * tenth, ..Limits::default() }
    }

    async fn plain(router: Router, limits: Limits) -> Handle {
        serve_plain(TcpListener::bind("127.0.0.1:0").await.unwrap(), router, limits).unwrap()
    }

    /// Sends `request` and returns everything until the server closes.
    async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &str) -> String {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // The other side may reset the connection; what came before counts.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn who() -> Router {
        Router::new().route(
            "/",
            get(|Extension(peer): Extension<Peer>| async move {
                format!("{} with {} certificates", peer.address.ip(), peer.certificates.len())
            }),
        )
    }

    #[tokio::test]
    async fn a_handler_learns_the_address_and_the_certificate_of_its_peer() {
        let make = || {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            let certificate = params.self_signed(&key).unwrap();
            (certificate.der().clone(), key.serialize_der())
        };
        let (server_cert, server_key) = make();
        let (client_cert, client_key) = make();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = |certificate: &CertificateDer<'static>| {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(certificate.clone()).unwrap();
            Arc::new(roots)
        };
        let verifier = crate::clients_of(&client_cert).unwrap();
        let config = crate::tls_config(server_cert.to_vec(), server_key, Some(verifier)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = serve_tls(listener, config, who(), Limits::default()).unwrap();

        let client = || {
            ClientConfig::builder_with_provider(provider.clone())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots(&server_cert))
        };
        let key = PrivateKeyDer::Pkcs8(client_key.into());
        let known = client().with_client_auth_cert(vec![client_cert.clone()], key).unwrap();
        for (config, certificates) in [(known, 1), (client().with_no_client_auth(), 0)] {
            let tcp = TcpStream::connect(server.address()).await.unwrap();
            let name = "localhost".try_into().unwrap();
            let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
            let answer = exchange(stream, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
            assert!(answer.ends_with(&format!("127.0.0.1 with {certificates} certificates")), "{answer}");
        }
    }

    #[tokio::test]
    async fn a_client_that_dawdles_loses_its_connection() {
        let router = Router::new().route("/", post(|body: Bytes| async move { format!("{}", body.len()) }));
        let server = plain(router, quick()).await;
        let connect = || TcpStream::connect(server.address());
        for (sent, answer) in [
            ("", ""),
            ("POST / HTTP/1.1\r\nhost", ""),
            ("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc", "HTTP/1.1 400"),
        ] {
            let got = exchange(connect().await.unwrap(), sent).await;
            assert!(got.starts_with(answer) && (got.is_empty() == answer.is_empty()), "{sent:?}: {got:?}");
        }
    }

    #[tokio::test]
    async fn an_address_that_holds_its_share_is_closed_and_served_again_later() {
        let server = plain(who(), Limits { per_address: 1, ..Limits::default() }).await;
        let request = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        let mut first = TcpStream::connect(server.address()).await.unwrap();
        first.write_all(request.as_bytes()).await.unwrap();
        let mut some = [0; 12];
        first.read_exact(&mut some).await.unwrap();
        assert_eq!(&some, b"HTTP/1.1 200");
        let second = TcpStream::connect(server.address()).await.unwrap();
        assert_eq!(exchange(second, "").await, "");
        drop(first);
        let request = request.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
        let served = tokio::time::timeout(Duration::from_secs(5), async {
            // The server sees the end of the first connection a moment later.
            while exchange(TcpStream::connect(server.address()).await.unwrap(), &request).await.is_empty() {}
        });
        served.await.expect("the place comes back");
    }

    #[tokio::test]
    async fn stopping_lets_a_running_request_end_and_takes_no_new_one() {
        let (entered, mut seen) = watch::channel(false);
        let (release, released) = watch::channel(false);
        let router = Router::new().route(
            "/",
            get(move || async move {
                entered.send_replace(true);
                stop_asked(&mut released.clone()).await;
                "done"
            }),
        );
        let server = plain(router, Limits::default()).await;
        let address = server.address();
        let stream = TcpStream::connect(address).await.unwrap();
        let request = tokio::spawn(exchange(stream, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
        stop_asked(&mut seen).await;
        let stop = tokio::spawn(server.stop());
        let refused = tokio::time::timeout(Duration::from_secs(5), async {
            while TcpStream::connect(address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        });
        refused.await.expect("the port is closed");
        release.send_replace(true);
        assert!(request.await.unwrap().ends_with("done"));
        stop.await.unwrap();
    }
}
