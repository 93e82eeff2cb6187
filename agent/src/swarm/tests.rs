//! Two PCs over loopback: real TLS, real threads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use images::blockdev::MemDev;
use images::chunk::{CHUNK_BYTES, Hash, Stored};
use images::deploy::Written;
use images::layout;
use images::manifest::{
    ChunkTable, Filesystem, Header, Identity as PartitionIdentity, Manifest, Partition, TableKind,
};
use images::protocol::{Referral, SwarmToken};
use images::swarm::{Fault, PeerId};
use images::used::FsKind;

use super::peers::Peers;
use super::serve::Serving;
use super::share::Share;
use super::tls;
use crate::clock;
use crate::identity::Identity;

const MIB: usize = 1 << 20;
const TOKEN: SwarmToken = SwarmToken([7; 32]);

fn chunk(n: u8) -> Vec<u8> {
    vec![n; CHUNK_BYTES]
}

fn hash(n: u8) -> Hash {
    Hash::of(&chunk(n))
}

/// A disk with an image of the chunks 1 to 100, of which 1 to 10 are written.
fn disk() -> Written {
    let mut table = ChunkTable::default();
    (0..100).for_each(|n| table.push(n, hash(n as u8 + 1)).unwrap());
    let partition = Partition {
        number: 1,
        identity: PartitionIdentity::Gpt {
            type_guid: uuid::Uuid::from_u128(2),
            unique: uuid::Uuid::from_u128(3),
            name: String::new(),
            attributes: 0,
        },
        first_lba: 2048,
        sectors: 10 * 2048,
        filesystem: Filesystem { kind: FsKind::Raw, uuid: None, min_bytes: 10 * MIB as u64, used_bytes: 0 },
        grow: false,
    };
    let header = Header {
        image: "x".into(),
        created_at: 0,
        chunk_bytes: 65536,
        sector_bytes: 512,
        disk_bytes: 16 * MIB as u64,
        table: TableKind::Gpt { disk: uuid::Uuid::from_u128(1) },
        boot_code: String::new(),
        partitions: vec![partition],
    };
    let manifest = Arc::new(Manifest::new(header, vec![table]).unwrap());
    let layout = layout::fit(&manifest, 16 * MIB as u64, 512).unwrap();
    let start = usize::try_from(layout.placements[0].start).unwrap();
    let mut content = vec![0; 16 * MIB];
    for n in 0..10 {
        content[start + n * CHUNK_BYTES..][..CHUNK_BYTES].fill(n as u8 + 1);
    }
    Written::new(Box::new(MemDev::new(content)), manifest, layout)
}

struct Pc {
    share: Arc<Share>,
    serving: Serving,
    id: PeerId,
}

impl Pc {
    fn new() -> Pc {
        let identity = Identity::generate().unwrap();
        let share = Arc::new(Share::new(disk(), MIB));
        let serving = Serving::start(tls::serving(&identity).unwrap(), TOKEN, share.clone()).unwrap();
        Pc { share, serving, id: identity.fingerprint().parse().unwrap() }
    }

    fn referral(&self) -> Referral {
        let address = SocketAddr::from(([127, 0, 0, 1], self.serving.port()));
        Referral { address, peer: self.id, patience_ms: 5000 }
    }

    fn put(&self, batch: u32, n: u8) {
        self.share.put(batch, hash(n), Arc::new(Stored::pack(&chunk(n)).unwrap()));
    }
}

/// What came, as the numbers of the chunks.
fn fetch(peers: &Peers, referral: &Referral, batch: u32, chunks: &[u8]) -> (Vec<u8>, Result<(), Fault>) {
    let hashes: Vec<Hash> = chunks.iter().map(|n| hash(*n)).collect();
    let mut came = Vec::new();
    let outcome = peers.fetch(referral, batch, &hashes, |index, stored| {
        let mut content = chunk(0);
        let whole = stored.unpack_into(&hashes[index], &mut content).is_ok();
        came.push(content[0]);
        whole
    });
    (came, outcome)
}

#[test]
fn chunks_come_from_memory_from_the_disk_and_as_soon_as_the_other_pc_has_them() {
    let pc = Pc::new();
    let peers = Peers::new(TOKEN);
    pc.put(0, 40);
    pc.share.expect(0, &[hash(41), hash(42)]);
    let share = pc.share.clone();
    let later = std::thread::spawn(move || {
        for n in [41, 42] {
            clock::wait(Duration::from_millis(700));
            share.put(0, hash(n), Arc::new(Stored::pack(&chunk(n)).unwrap()));
        }
    });
    let (came, outcome) = fetch(&peers, &pc.referral(), 0, &[40, 3, 41, 10, 42]);
    assert_eq!((came, outcome), (vec![40, 3, 41, 10, 42], Ok(())));
    later.join().unwrap();
    // Over the same connection, and not what is not there or stands elsewhere.
    assert_eq!(fetch(&peers, &pc.referral(), 0, &[5, 77, 6]), (vec![5, 6], Err(Fault::Lacks)));
    assert_eq!(fetch(&peers, &pc.referral(), 1, &[5]), (vec![], Err(Fault::Lacks)), "it is part of batch 0");
    // What was expected and will not come after all is told at once.
    pc.share.expect(1, &[hash(90)]);
    pc.share.settle(1);
    assert_eq!(fetch(&peers, &pc.referral(), 1, &[90]).1, Err(Fault::Lacks));
}

#[test]
fn nothing_goes_to_a_stranger_and_nothing_is_taken_from_one() {
    let pc = Pc::new();
    let other = SwarmToken([8; 32]);
    assert_eq!(fetch(&Peers::new(other), &pc.referral(), 0, &[1]), (vec![], Err(Fault::Away)));
    let impostor = Referral { peer: PeerId::of(b"another key"), ..pc.referral() };
    assert_eq!(fetch(&Peers::new(TOKEN), &impostor, 0, &[1]), (vec![], Err(Fault::Away)));
    assert_eq!(fetch(&Peers::new(TOKEN), &pc.referral(), 0, &[1]), (vec![1], Ok(())));
}

#[test]
fn who_sends_something_else_only_waits_or_is_gone_is_told_apart() {
    let pc = Pc::new();
    let peers = Peers::new(TOKEN);
    // Another chunk under that hash: what a PC with bad memory or bad intentions would send.
    pc.share.put(0, hash(50), Arc::new(Stored::pack(&chunk(51)).unwrap()));
    assert_eq!(fetch(&peers, &pc.referral(), 0, &[1, 50, 2]).1, Err(Fault::Lied));
    pc.share.expect(0, &[hash(60)]);
    let soon = Referral { patience_ms: 400, ..pc.referral() };
    assert_eq!(fetch(&peers, &soon, 0, &[2, 60]), (vec![2], Err(Fault::Waiting)));
    let referral = pc.referral();
    drop(pc);
    assert_eq!(fetch(&Peers::new(TOKEN), &referral, 0, &[1]), (vec![], Err(Fault::Away)));
}

#[test]
fn memory_is_bounded_and_what_was_dropped_comes_from_the_disk() {
    let pc = Pc::new();
    // Noise does not shrink: 30 chunks are 1.9 MiB, of which 1 MiB may stay.
    let noise = |n: u32| {
        let mut chunk = chunk(0);
        blake3::Hasher::new().update(&n.to_le_bytes()).finalize_xof().fill(&mut chunk);
        chunk
    };
    for n in 0..30 {
        let content = noise(n);
        pc.share.put(n, Hash::of(&content), Arc::new(Stored::pack(&content).unwrap()));
    }
    let kept = (0..30).filter(|n| {
        let found = pc.share.find(*n, &Hash::of(&noise(*n)), Duration::ZERO);
        matches!(found, super::share::Found::Here(_))
    });
    assert_eq!(kept.collect::<Vec<_>>(), (15..30).collect::<Vec<_>>(), "the first go first");
}
