//! Server-sent events.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use inventory::{By, clock};

use crate::testing::Desk;

struct Stream(Body);

impl Stream {
    /// The next event's text; `None` when the stream ended.
    async fn next(&mut self) -> Option<String> {
        loop {
            let frame =
                tokio::time::timeout(Duration::from_secs(20), self.0.frame()).await.expect("in time")?;
            let text = String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap();
            // Lines that begin with a colon only keep the connection alive.
            if !text.starts_with(':') {
                return Some(text);
            }
        }
    }
}

async fn listen(desk: &Desk) -> Result<Stream, StatusCode> {
    let response = desk.open(desk.request(&Method::GET, "/events").body(Body::empty()).unwrap()).await;
    if response.status() == StatusCode::OK {
        Ok(Stream(response.into_body()))
    } else {
        Err(response.status())
    }
}

async fn change(desk: &Desk, name: &str) -> i64 {
    desk.inventory.create_room(By { actor: "test", at: clock::now() }, name).await.unwrap();
    desk.inventory.last_change().await.unwrap()
}

#[tokio::test]
async fn an_open_page_is_told_of_every_change_and_of_a_burst_once() {
    let desk = Desk::new().await;
    let mut stream = listen(&desk).await.unwrap();
    let now = desk.inventory.last_change().await.unwrap();
    let first = stream.next().await.unwrap();
    assert!(first.contains("event: changed") && first.contains(&format!("id: {now}")), "{first}");
    let mut last = 0;
    for n in 0..20 {
        last = change(&desk, &format!("R{n}")).await;
    }
    let mut told = 0;
    loop {
        told += 1;
        if stream.next().await.unwrap().contains(&format!("id: {last}")) {
            break;
        }
    }
    assert!(told <= 3, "20 changes at once were told {told} times");
}

#[tokio::test]
async fn a_stream_ends_with_its_session_and_with_the_server() {
    let mut desk = Desk::new().await;
    let mut signed_out = listen(&desk).await.unwrap();
    signed_out.next().await.unwrap();
    let request = desk.request(&Method::POST, "/signout").body(Body::empty()).unwrap();
    assert_eq!(desk.ask(request).await.status, StatusCode::SEE_OTHER);
    change(&desk, "danach").await;
    assert_eq!(signed_out.next().await, None);
    assert_eq!(listen(&desk).await.err(), Some(StatusCode::UNAUTHORIZED));

    desk = Desk::new().await;
    let mut stopped = listen(&desk).await.unwrap();
    stopped.next().await.unwrap();
    desk.stop_following();
    assert_eq!(stopped.next().await, None);
}

#[tokio::test]
async fn streams_are_bounded_and_a_closed_one_gives_its_place_back() {
    let desk = Desk::new().await;
    let mut streams = Vec::new();
    let refused = loop {
        match listen(&desk).await {
            Ok(stream) => streams.push(stream),
            Err(status) => break status,
        }
        assert!(streams.len() < 100, "no bound");
    };
    assert_eq!(refused, StatusCode::SERVICE_UNAVAILABLE);
    streams.pop();
    assert!(listen(&desk).await.is_ok());
}
