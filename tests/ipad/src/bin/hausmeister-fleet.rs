//! Many simulated iPads at once, for the benchmark: enrols them, then does what each line of its input says.
//!
//! `hausmeister-fleet LINK AUTHORITY FIRST COUNT`, the number of the first one and how many. Lines:
//!
//! | Line      | What each iPad does                                                            |
//! |-----------|--------------------------------------------------------------------------------|
//! | `session` | asks until there is no work, on a connection that somebody used before it        |
//! | `fresh`   | the same on a new connection, as an iPad that was woken                          |
//! | `end`     | nothing any more                                                                |
//!
//! Prints a JSON line for each: how many commands were carried out, how long it took, and the 50th and 99th percentile of a session.

use std::io::BufRead as _;
use std::time::Duration;

use anyhow::Context as _;
use ipad::{Facts, HttpError, Ipad, Trust};
use mdm::cms::RsaKey;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [link, authority, first, count] = arguments.as_slice() else {
        anyhow::bail!("usage: hausmeister-fleet LINK AUTHORITY FIRST COUNT")
    };
    let authority = std::fs::read(authority)?;
    let (first, count): (u32, u32) = (first.parse().context("FIRST")?, count.parse().context("COUNT")?);
    let began = now();
    let shared = Trust::authority(&authority)?;
    let mut ipads = enrol(link, &shared, first, count)?;
    say("enrolled", 0, now() - began, &mut []);
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "end" {
            return Ok(());
        }
        let own = || if line == "fresh" { Trust::authority(&authority) } else { Ok(shared.clone()) };
        let began = now();
        let (done, mut took) = sessions(&mut ipads, &shared, own)?;
        say(&line, done, now() - began, &mut took);
    }
    Ok(())
}

fn enrol(link: &str, trust: &Trust, first: u32, count: u32) -> anyhow::Result<Vec<Ipad>> {
    // Making a key takes longer than everything else; what the server does does not depend on whose key it is.
    let keys: Vec<Vec<u8>> = (0..KEYS)
        .map(|_| Ok(RsaKey::generate()?.to_pkcs8()?.to_vec()))
        .collect::<Result<_, mdm::cms::CmsError>>()?;
    let numbers: Vec<u32> = (0..count).collect();
    let parts = in_threads(numbers.chunks(share(numbers.len())).collect(), |numbers| {
        let enrol = |number: &u32| {
            let key = keys.get((number % KEYS) as usize).context("there is no key")?;
            Ok(Ipad::enrol_with(link, Facts::numbered(first + number), trust, RsaKey::from_pkcs8(key)?)?)
        };
        numbers.iter().map(enrol).collect::<anyhow::Result<Vec<_>>>()
    })?;
    Ok(parts.into_iter().flatten().collect())
}

/// One session of each iPad over its `own` connections: how many commands were carried out, and how long each session took.
fn sessions(
    ipads: &mut [Ipad],
    shared: &Trust,
    own: impl Fn() -> Result<Trust, HttpError> + Sync,
) -> anyhow::Result<(usize, Vec<Duration>)> {
    let share = share(ipads.len());
    let parts = in_threads(ipads.chunks_mut(share).collect(), |ipads| {
        let (mut done, mut took) = (0, Vec::with_capacity(ipads.len()));
        for ipad in ipads {
            ipad.reconnect(own()?);
            let began = now();
            done += ipad.connect()?.len();
            took.push(now() - began);
            ipad.reconnect(shared.clone());
        }
        Ok((done, took))
    })?;
    let done = parts.iter().map(|(done, _)| done).sum();
    Ok((done, parts.into_iter().flat_map(|(_, took)| took).collect()))
}

/// Runs that with each part in a thread of its own.
fn in_threads<P: Send, R: Send>(
    parts: Vec<P>,
    work: impl Fn(P) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = parts.into_iter().map(|part| scope.spawn(move || work(part))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().map_err(|_| anyhow::anyhow!("a thread fell over"))?
        };
        threads.into_iter().map(join).collect()
    })
}

fn share(count: usize) -> usize {
    count.div_ceil(THREADS).max(1)
}

#[expect(clippy::disallowed_methods, reason = "what is measured is time")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

fn say(what: &str, count: usize, took: Duration, sessions: &mut [Duration]) {
    sessions.sort_unstable();
    let percentile = |part: usize| sessions.get(sessions.len() * part / 100).map(|it| it.as_secs_f64() * 1e3);
    let line = serde_json::json!({
        "what": what, "count": count, "secs": took.as_secs_f64(), "p50_ms": percentile(50), "p99_ms": percentile(99),
    });
    println!("{line}");
}

/// So many iPads talk at a time.
const THREADS: usize = 16;
const KEYS: u32 = 4;
