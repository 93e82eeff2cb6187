//! The push service by itself, for the benchmark.
//!
//! `hausmeister-apns FOLDER TOPIC` writes `apple.pem`, and a push certificate `push.pem` with its key `push.key`, into the folder and prints
//! where the service is. For each line of its input it prints how many iPads were pushed since the last line that says `new`.
#![allow(clippy::unwrap_used, reason = "a simulation: what cannot be made should end it")]

use std::collections::HashSet;
use std::io::BufRead as _;
use std::path::Path;

use apple::Authority;
use apple::push::PushService;
use time::{Duration, OffsetDateTime};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (folder, topic) = (arguments.next().unwrap(), arguments.next().unwrap());
    let authority = Authority::new();
    let (certificate, key) =
        authority.push_certificate(&topic, OffsetDateTime::now_utc() + Duration::days(300));
    for (name, text) in [("apple.pem", authority.pem()), ("push.pem", &certificate), ("push.key", &key)] {
        std::fs::write(Path::new(&folder).join(name), text).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let service = runtime.block_on(PushService::start(&authority));
    println!("{}", service.url());
    let mut before = 0;
    for line in std::io::stdin().lock().lines() {
        let pushes = service.pushes();
        if line.unwrap() == "new" {
            before = pushes.len();
        }
        let new: HashSet<&str> = pushes.iter().skip(before).map(|push| push.token.as_str()).collect();
        println!("{}", new.len());
    }
}
