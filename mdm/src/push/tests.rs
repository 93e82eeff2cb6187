//! Against a push service that behaves as Apple's does.

use apple::Authority;
use apple::push::{Answer, PushService};
use time::OffsetDateTime;

use super::*;

const TOPIC: &str = "com.apple.mgmt.External.test";
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

struct Lab {
    authority: Authority,
    service: PushService,
    push: Push,
}

impl Lab {
    async fn new() -> Self {
        let authority = Authority::new();
        let service = PushService::start(&authority).await;
        let push = pushing(&authority, &service, TOPIC);
        Self { authority, service, push }
    }

    async fn wake(&self, token: u8, secs: u64) -> Result<Pushed, PushError> {
        let address = Address { token: vec![token; 32], magic: format!("magic {token}") };
        self.push.wake(&address, NOW.plus_secs(secs)).await
    }
}

fn pushing(authority: &Authority, service: &PushService, topic: &str) -> Push {
    let port = service.url().rsplit(':').next().unwrap().parse().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.der().to_vec())).unwrap();
    let answer = Duration::from_millis(500);
    let target = Target { host: "localhost".into(), port, roots: Arc::new(roots), answer };
    let ends = OffsetDateTime::now_utc() + time::Duration::days(300);
    let (chain, key) = authority.push_certificate(topic, ends);
    let certificate = PushCertificate {
        topic: topic.into(),
        ends_at: NOW.0 / 1000 + 86_400,
        chain,
        key: ipados::secret::Secret::new(key),
    };
    Push::new(target, &certificate).unwrap()
}

#[tokio::test]
async fn many_pushes_go_by_one_connection() {
    let lab = Lab::new().await;
    let all: Vec<_> = (0..100).map(|token| lab.wake(token, 0)).collect();
    for done in futures_join(all).await {
        assert_eq!(done.unwrap(), Pushed::Taken);
    }
    let pushes = lab.service.pushes();
    assert_eq!((pushes.len(), lab.service.connections()), (100, 1));
    let one = pushes.iter().find(|push| push.magic == "magic 7").unwrap();
    assert_eq!(one.token, "07".repeat(32));
    assert_eq!(lab.push.trouble(), None);
}

#[tokio::test]
async fn dead_tokens_are_told_from_trouble() {
    let lab = Lab::new().await;
    lab.service.answer(&[1; 32], Answer::BadDeviceToken);
    lab.service.answer(&[2; 32], Answer::Unregistered);
    assert_eq!(lab.wake(1, 0).await.unwrap(), Pushed::Gone);
    assert_eq!(lab.wake(2, 0).await.unwrap(), Pushed::Gone);
    assert_eq!(lab.wake(3, 0).await.unwrap(), Pushed::Taken);
    // Another topic than the certificate's is our fault, not the token's.
    let mut other = pushing(&lab.authority, &lab.service, TOPIC);
    other.topic = "com.apple.mgmt.External.other".into();
    let address = Address { token: vec![4; 32], magic: "m".into() };
    assert_eq!(other.wake(&address, NOW).await.unwrap(), Pushed::Busy);
    assert_eq!(other.trouble(), Some(Trouble::Refusing));
}

#[tokio::test]
async fn a_service_that_takes_nothing_is_left_alone_for_longer_each_time() {
    for busy in [Answer::TooManyRequests, Answer::Unavailable] {
        let lab = Lab::new().await;
        lab.service.answer_all(busy);
        let mut at = 0;
        for pause in [30, 60, 120, 240, 300, 300] {
            assert_eq!(lab.wake(1, at).await.unwrap(), Pushed::Busy);
            assert!(matches!(lab.wake(1, at + pause - 1).await, Err(PushError::Down)), "{pause}");
            at += pause;
        }
        assert_eq!(lab.service.pushes().len(), 6);
        lab.service.answer_all(Answer::Taken);
        assert_eq!(lab.wake(1, at).await.unwrap(), Pushed::Taken);
        lab.service.answer_all(busy);
        assert_eq!(lab.wake(1, at).await.unwrap(), Pushed::Busy);
        lab.service.answer_all(Answer::Taken);
        assert_eq!(lab.wake(1, at + 30).await.unwrap(), Pushed::Taken, "it begins anew");
        assert_eq!(lab.service.connections(), 1);
    }
}

#[tokio::test]
async fn a_connection_that_is_closed_for_its_age_loses_no_push() {
    let lab = Lab::new().await;
    for round in 0..5 {
        assert_eq!(lab.wake(round, 0).await.unwrap(), Pushed::Taken);
        lab.service.say_goodbye();
        assert_eq!(lab.wake(100 + round, 0).await.unwrap(), Pushed::Taken);
    }
    let mut tokens: Vec<_> = lab.service.pushes().into_iter().map(|push| push.token).collect();
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 10);
}

#[tokio::test]
async fn silence_and_an_outage_end_in_time_and_are_told_of() {
    let lab = Lab::new().await;
    lab.service.answer_all(Answer::Silence);
    assert!(matches!(lab.wake(1, 0).await, Err(PushError::Connect(_))));
    assert_eq!(lab.push.trouble(), Some(Trouble::Silent));
    assert!(matches!(lab.wake(1, 29).await, Err(PushError::Down)));
    lab.service.answer_all(Answer::Taken);
    assert_eq!(lab.wake(1, 30).await.unwrap(), Pushed::Taken);
    assert_eq!((lab.push.trouble(), lab.service.connections()), (None, 2));

    let Lab { authority, service, push } = lab;
    let address: std::net::SocketAddr =
        service.url().replace("https://localhost", "127.0.0.1").parse().unwrap();
    service.stop().await;
    let token = Address { token: vec![9; 32], magic: "m".into() };
    assert!(matches!(push.wake(&token, NOW.plus_secs(60)).await, Err(PushError::Connect(_))));
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let service = PushService::start_on(&authority, listener).await;
    // The certificate of the service is a new one of the same authority.
    assert_eq!(push.wake(&token, NOW.plus_secs(90)).await.unwrap(), Pushed::Taken);
    assert_eq!(service.pushes().len(), 1);
}

#[tokio::test]
async fn nobody_pushes_with_a_certificate_that_is_over_or_of_another_authority() {
    let lab = Lab::new().await;
    assert!(matches!(lab.wake(1, 86_400).await, Err(PushError::Over)));
    assert_eq!(lab.service.connections(), 0);
    let stranger = pushing(&Authority::new(), &lab.service, TOPIC);
    let address = Address { token: vec![1; 32], magic: "m".into() };
    assert!(matches!(stranger.wake(&address, NOW).await, Err(PushError::Connect(_))));
    assert_eq!(lab.service.pushes(), []);
}

/// All of them at once.
async fn futures_join<F: Future>(all: Vec<F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in all.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(output) = future.as_mut().poll(context) {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}
