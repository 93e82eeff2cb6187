//! A room of PCs that write one image, in steps of 10 ms: every PC and the server has a line with a rate in each direction,
//! shared evenly by what goes over it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::{Ask, Fault, PeerId, Source, Swarm};
use crate::chunk::Hash;

/// 100 MB/s, as a line of 1 Gbit/s carries.
const LINE: f64 = 100e6;
/// 64 chunks of 64 KiB that are compressed to half.
const BATCH: f64 = 2e6;
const BATCHES: u32 = 1000;
const WINDOW: u32 = 10;
const STEP: f64 = 0.01;

#[derive(Clone)]
struct Pc {
    line: f64,
    disk: f64,
    starts_at: f64,
    dies_at: f64,
    lies: bool,
    /// Bytes of each batch that are there.
    got: Vec<f64>,
    claimed: u32,
    written: f64,
    finished_at: Option<f64>,
}

impl Pc {
    fn new() -> Pc {
        Pc {
            line: LINE,
            disk: f64::INFINITY,
            starts_at: 0.0,
            dies_at: f64::INFINITY,
            lies: false,
            got: vec![0.0; BATCHES as usize],
            claimed: 0,
            written: 0.0,
            finished_at: None,
        }
    }

    fn written_batches(&self) -> u32 {
        (self.written / BATCH + 1e-6) as u32
    }

    fn has_all_of(&self, batch: u32) -> bool {
        self.got[batch as usize] >= BATCH - 1.0
    }
}

struct Flow {
    from: Option<usize>,
    to: usize,
    batch: u32,
    began: f64,
    patience: f64,
    tries: u32,
    /// Seconds in which its source had nothing for it.
    waited: f64,
    ended: bool,
}

struct Room {
    swarm: Swarm,
    pcs: Vec<Pc>,
    flows: Vec<Flow>,
    begun: Instant,
    now: f64,
    server_sent: f64,
    server_line: f64,
}

struct Outcome {
    /// When each was done; `None`: it was switched off.
    ends: Vec<Option<f64>>,
    /// How often the server sent the image.
    sent: f64,
}

impl Outcome {
    fn last(&self) -> f64 {
        self.ends.iter().flatten().fold(0.0, |a, b| a.max(*b))
    }
}

fn id(pc: usize) -> PeerId {
    Hash::of(&pc.to_le_bytes())
}

#[expect(clippy::disallowed_methods, reason = "any moment will do as the beginning")]
fn simulate(pcs: Vec<Pc>) -> Outcome {
    let mut room = Room {
        swarm: Swarm::default(),
        pcs,
        flows: Vec::new(),
        begun: Instant::now(),
        now: 0.0,
        server_sent: 0.0,
        server_line: LINE,
    };
    while room.pcs.iter().any(|pc| pc.finished_at.is_none() && pc.dies_at > room.now) {
        room.step();
        assert!(room.now < 600.0, "it does not come to an end");
    }
    Outcome {
        ends: room.pcs.iter().map(|pc| pc.finished_at).collect(),
        sent: room.server_sent / (BATCH * f64::from(BATCHES)),
    }
}

impl Room {
    fn instant(&self) -> Instant {
        self.begun + Duration::from_secs_f64(self.now)
    }

    fn step(&mut self) {
        self.now += STEP;
        let now = self.now;
        self.flows.retain(|flow| !flow.ended);
        for pc in 0..self.pcs.len() {
            self.write(pc);
            // More at a time as batches come, as the real one.
            while self.pcs[pc].starts_at <= now
                && now < self.pcs[pc].dies_at
                && self.pcs[pc].claimed < BATCHES
                && self.pcs[pc].claimed < self.pcs[pc].written_batches() + WINDOW.min(3 + self.completed(pc))
            {
                let batch = self.pcs[pc].claimed;
                self.pcs[pc].claimed += 1;
                self.ask(pc, batch, 0);
            }
        }
        self.transfer();
        self.give_up();
    }

    fn completed(&self, pc: usize) -> u32 {
        (0..self.pcs[pc].claimed).filter(|batch| self.pcs[pc].has_all_of(*batch)).count() as u32
    }

    fn write(&mut self, pc: usize) {
        let pc_ = &mut self.pcs[pc];
        let ready = (pc_.written_batches()..pc_.claimed).take_while(|b| pc_.has_all_of(*b)).count();
        let ready = f64::from(pc_.written_batches() + ready as u32) * BATCH;
        pc_.written = ready.min(pc_.written + pc_.disk * STEP);
        if pc_.finished_at.is_none() && pc_.written_batches() == BATCHES {
            pc_.finished_at = Some(self.now);
        }
        if let Some(at) = pc_.finished_at
            && now_stays(&self.swarm, pc, self.begun, self.now, at)
        {
            let now = self.instant();
            self.swarm.finished(id(pc), now);
        }
    }

    fn ask(&mut self, pc: usize, batch: u32, tries: u32) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, pc as u16));
        let written = self.pcs[pc].written_batches();
        let ask = Ask { peer: id(pc), address, batch, written, direct: tries >= 3 };
        let now = self.instant();
        let (from, patience) = match self.swarm.ask(&ask, now) {
            Source::Server => (None, f64::INFINITY),
            Source::Peer { address, patience, .. } => {
                (Some(usize::from(address.port())), patience.as_secs_f64())
            }
        };
        if std::env::var("TRACE").is_ok() && (100..118).contains(&batch) {
            println!(
                "{:.2}: ask {pc} batch {batch} -> {from:?} loads {:?}",
                self.now,
                (0..self.pcs.len())
                    .map(|p| self.swarm.loads().get(&id(p)).copied().unwrap_or(0))
                    .collect::<Vec<_>>()
            );
        }
        self.flows.push(Flow {
            from,
            to: pc,
            batch,
            began: self.now,
            patience,
            tries,
            waited: 0.0,
            ended: false,
        });
    }

    /// Bytes of a batch that its source has.
    fn available(&self, flow: &Flow) -> f64 {
        match flow.from {
            None => BATCH,
            Some(from) if self.pcs[from].dies_at <= self.now => 0.0,
            Some(from) => self.pcs[from].got[flow.batch as usize],
        }
    }

    fn transfer(&mut self) {
        let alive = |flow: &Flow| self.pcs[flow.to].dies_at > self.now;
        let active: Vec<bool> = self
            .flows
            .iter()
            .map(|f| alive(f) && self.available(f) > self.pcs[f.to].got[f.batch as usize] + 1.0)
            .collect();
        let rates = self.rates(&active);
        let mut arrived = Vec::new();
        for (number, flow) in self.flows.iter().enumerate().filter(|(number, _)| active[*number]) {
            let got = self.pcs[flow.to].got[flow.batch as usize];
            arrived.push((number, (rates[number] * STEP).min(self.available(flow) - got)));
        }
        for (flow, active) in self.flows.iter_mut().zip(&active) {
            flow.waited += if *active { 0.0 } else { STEP };
        }
        for (number, bytes) in arrived {
            let flow = &self.flows[number];
            let (from, to, batch) = (flow.from, flow.to, flow.batch);
            if from.is_none() {
                self.server_sent += bytes;
            }
            if let Some(from) = from.filter(|from| self.pcs[*from].lies) {
                self.fail(number, from, Fault::Lied);
                continue;
            }
            self.pcs[to].got[batch as usize] += bytes;
            if self.pcs[to].has_all_of(batch) {
                self.flows[number].ended = true;
                let now = self.instant();
                self.swarm.done(id(to), batch, now);
            }
        }
    }

    /// What each line has is shared evenly; what somebody cannot use is shared again.
    fn rates(&self, active: &[bool]) -> Vec<f64> {
        let server = self.pcs.len();
        let lines: Vec<f64> = self.pcs.iter().map(|pc| pc.line).chain([self.server_line]).collect();
        let (mut up, mut down) = (lines.clone(), lines);
        let mut rates = vec![0.0; self.flows.len()];
        for _ in 0..4 {
            let ends = |flow: &Flow| (flow.from.unwrap_or(server), flow.to);
            let open: Vec<usize> = (0..self.flows.len())
                .filter(|number| active[*number])
                .filter(|number| {
                    let (from, to) = ends(&self.flows[*number]);
                    up[from] > 1.0 && down[to] > 1.0
                })
                .collect();
            let (mut ups, mut downs) = (vec![0; server + 1], vec![0; server + 1]);
            for number in &open {
                let (from, to) = ends(&self.flows[*number]);
                ups[from] += 1;
                downs[to] += 1;
            }
            let more = |number: &usize| {
                let (from, to) = ends(&self.flows[*number]);
                (up[from] / f64::from(ups[from])).min(down[to] / f64::from(downs[to]))
            };
            let more: Vec<f64> = open.iter().map(more).collect();
            for (number, more) in open.iter().zip(more) {
                let (from, to) = ends(&self.flows[*number]);
                rates[*number] += more;
                up[from] -= more;
                down[to] -= more;
            }
        }
        rates
    }

    /// Those whose patience is at an end ask again.
    fn give_up(&mut self) {
        for number in 0..self.flows.len() {
            let flow = &self.flows[number];
            let Some(from) = flow.from.filter(|_| !flow.ended) else { continue };
            if self.pcs[flow.to].dies_at <= self.now {
                self.flows[number].ended = true;
            } else if self.pcs[from].dies_at + 4.0 <= self.now {
                self.fail(number, from, Fault::Away);
            } else if self.now - flow.began > flow.patience {
                let waited = flow.waited > (self.now - flow.began) / 2.0;
                let fault = if waited { Fault::Waiting } else { Fault::Slow };
                self.fail(number, from, fault);
            }
        }
    }

    fn fail(&mut self, number: usize, from: usize, fault: Fault) {
        self.flows[number].ended = true;
        let (to, batch, tries) = (self.flows[number].to, self.flows[number].batch, self.flows[number].tries);
        let now = self.instant();
        if std::env::var("TRACE").is_ok() {
            println!(
                "{:.2}: {to} batch {batch} from {from} {fault:?} patience {:.2} tries {tries} got {:.0}",
                self.now, self.flows[number].patience, self.pcs[to].got[batch as usize]
            );
        }
        self.swarm.failed(id(to), batch, id(from), fault, now);
        self.ask(to, batch, tries + 1);
    }
}

/// Who is done says so every two seconds as long as it is needed.
fn now_stays(swarm: &Swarm, pc: usize, begun: Instant, now: f64, finished_at: f64) -> bool {
    let since = now - finished_at;
    (since / 2.0).fract() < STEP / 2.0
        && (since < STEP || swarm.is_needed(id(pc), begun + Duration::from_secs_f64(now)))
}

fn room(count: usize) -> Vec<Pc> {
    vec![Pc::new(); count]
}

fn one() -> f64 {
    simulate(room(1)).last()
}

#[test]
fn a_room_takes_hardly_longer_than_one_pc_and_the_server_sends_little_more_than_once() {
    let one = one();
    assert!((19.9..20.6).contains(&one), "{one}");
    for count in [2, 5, 16, 30] {
        let outcome = simulate(room(count));
        println!("{count}: {:.2} x, sent {:.2}", outcome.last() / one, outcome.sent);
        assert!(outcome.last() <= 1.3 * one, "{count} PCs: {} s, one: {one} s", outcome.last());
        assert!(outcome.sent <= 1.1, "{count} PCs: the server sent {} images", outcome.sent);
    }
}

#[test]
fn a_slow_pc_costs_the_others_little() {
    let mut pcs = room(30);
    for slow in [0, 13] {
        pcs[slow].line = LINE / 20.0;
    }
    let outcome = simulate(pcs);
    let others = outcome.ends.iter().enumerate().filter(|(pc, _)| ![0, 13].contains(pc));
    let last = others.filter_map(|(_, end)| *end).fold(0.0, f64::max);
    println!("slow: others {:.2} x, sent {:.2}", last / one(), outcome.sent);
    // Finding out costs some seconds, however long it all takes.
    assert!(last <= one() + 15.0, "{last} s");
    assert!(outcome.sent <= 1.5, "{}", outcome.sent);
}

#[test]
fn a_slow_disk_costs_the_others_little() {
    let mut pcs = room(30);
    pcs[3].disk = LINE / 5.0;
    let outcome = simulate(pcs);
    let others = outcome.ends.iter().enumerate().filter(|(pc, _)| *pc != 3);
    let last = others.filter_map(|(_, end)| *end).fold(0.0, f64::max);
    println!("disk: others {:.2} x, sent {:.2}", last / one(), outcome.sent);
    assert!(last <= 1.3 * one(), "{last} s");
    assert!(outcome.sent <= 1.2, "{}", outcome.sent);
}

#[test]
fn pcs_that_are_switched_off_cost_the_others_little() {
    let mut pcs = room(30);
    for (pc, at) in [(0, 2.0), (7, 4.0), (8, 4.0), (22, 6.0)] {
        pcs[pc].dies_at = at;
    }
    let outcome = simulate(pcs);
    println!("dead: {:.2} x, sent {:.2}", outcome.last() / one(), outcome.sent);
    assert_eq!(outcome.ends.iter().flatten().count(), 26);
    assert!(outcome.last() <= 1.6 * one(), "{} s", outcome.last());
    assert!(outcome.sent <= 1.5, "{}", outcome.sent);
}

#[test]
fn a_late_pc_gets_the_image_from_the_others_and_does_not_hold_them_up() {
    let mut pcs = room(30);
    pcs[11].starts_at = 6.0;
    let outcome = simulate(pcs);
    let late = outcome.ends[11].unwrap() - 6.0;
    let others = outcome.ends.iter().enumerate().filter(|(pc, _)| *pc != 11);
    let last = others.filter_map(|(_, end)| *end).fold(0.0, f64::max);
    println!("late: others {:.2} x, itself {:.2} x, sent {:.2}", last / one(), late / one(), outcome.sent);
    assert!(last <= 1.3 * one(), "{last} s");
    assert!(late <= 1.5 * one(), "{late} s");
    assert!(outcome.sent <= 1.2, "{}", outcome.sent);
}

#[test]
fn a_pc_that_lies_costs_the_others_little() {
    let mut pcs = room(30);
    pcs[5].lies = true;
    let outcome = simulate(pcs);
    println!("liar: {:.2} x, sent {:.2}", outcome.last() / one(), outcome.sent);
    assert!(outcome.last() <= 1.3 * one(), "{} s", outcome.last());
    assert!(outcome.sent <= 1.2, "{}", outcome.sent);
}
