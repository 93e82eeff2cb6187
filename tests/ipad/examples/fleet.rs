//! Many simulated iPads at once, for the benchmark: enrols them, then does what each line of its input says.
//!
//! `fleet LINK AUTHORITY FIRST COUNT`, the number of the first one and how many; lines: `session` (each iPad asks until there is no work), `end`. Prints a JSON line for each.

use std::io::BufRead as _;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context as _;
use ipad::{Facts, Ipad, Trust};
use mdm::cms::RsaKey;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [link, authority, first, count] = arguments.as_slice() else {
        anyhow::bail!("usage: fleet LINK AUTHORITY FIRST COUNT")
    };
    let trust = Trust::authority(&std::fs::read(authority)?)?;
    let (first, count): (u32, u32) = (first.parse().context("FIRST")?, count.parse().context("COUNT")?);
    // Making a key takes longer than everything else; what the server does does not depend on whose key it is.
    let keys: Vec<Vec<u8>> = (0..KEYS)
        .map(|_| Ok(RsaKey::generate()?.to_pkcs8()?.to_vec()))
        .collect::<Result<_, mdm::cms::CmsError>>()?;

    let ipads = Mutex::new(Vec::new());
    let took = in_threads(|thread| {
        for number in (thread..count).step_by(THREADS as usize) {
            let key = keys.get((number % KEYS) as usize).context("there is no key")?;
            let ipad =
                Ipad::enrol_with(link, Facts::numbered(first + number), &trust, RsaKey::from_pkcs8(key)?)?;
            ipads.lock().map_err(|_| anyhow::anyhow!("a thread fell over"))?.push(ipad);
        }
        Ok(0)
    })?;
    say("enrolled", count.into(), took.1);
    let mut ipads = ipads.into_inner().map_err(|_| anyhow::anyhow!("a thread fell over"))?;
    for line in std::io::stdin().lock().lines() {
        if line? == "end" {
            return Ok(());
        }
        let share = ipads.len().div_ceil(THREADS as usize).max(1);
        let mut shares: Vec<_> = ipads.chunks_mut(share).map(|share| Mutex::new(Some(share))).collect();
        let shares = &mut shares;
        let (done, took) = in_threads(|thread| {
            let share = shares.get(thread as usize).and_then(|share| share.lock().ok()?.take());
            let mut done = 0;
            for ipad in share.into_iter().flatten() {
                done += u64::try_from(ipad.connect()?.len())?;
            }
            Ok(done)
        })?;
        say("session", done, took);
    }
    Ok(())
}

/// Runs that in every thread; returns the sum of what they return, and the time it took.
fn in_threads(work: impl Fn(u32) -> anyhow::Result<u64> + Sync) -> anyhow::Result<(u64, Duration)> {
    #[expect(clippy::disallowed_methods, reason = "what is measured is time")]
    let began = std::time::Instant::now();
    let done = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn({
                    let work = &work;
                    move || work(thread)
                })
            })
            .collect();
        let mut sum = 0;
        for thread in threads {
            sum += thread.join().map_err(|_| anyhow::anyhow!("a thread fell over"))??;
        }
        anyhow::Ok(sum)
    })?;
    Ok((done, began.elapsed()))
}

fn say(what: &str, count: u64, took: Duration) {
    println!("{}", serde_json::json!({ "what": what, "count": count, "secs": took.as_secs_f64() }));
}

const THREADS: u32 = 8;
const KEYS: u32 = 8;
