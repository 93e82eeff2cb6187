//! How long it takes to plan for every PC of a very large school: `cargo run --release -p software --example plan_bench`.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a measurement reads the clock and may end with an error"
)]

use software::package::{Found, Package, PackageId};
use software::plan::{Catalogue, Device, Layer, LayerKey, Planner, Rank, Source, Wish};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

fn main() {
    let devices = (0..DEVICES).map(device).collect::<Vec<_>>();
    for (name, own) in
        [("wishes of school, room and group", false), ("and wishes of every PC of its own", true)]
    {
        let mut planner = Planner::new(Arc::new(catalogue()));
        let keys = layers(&mut planner);
        let own: Vec<Option<LayerKey>> =
            (0..DEVICES).map(|n| own.then(|| planner.layer(own_layer(n)))).collect();
        let devices: Vec<Device> = devices
            .iter()
            .zip(own)
            .enumerate()
            .map(|(number, (device, own))| {
                let shared = layers_of_room(number).into_iter().filter_map(|at| keys.get(at).copied());
                Device { layers: shared.chain(own).collect(), ..device.clone() }
            })
            .collect();
        let before = Instant::now();
        let (mut steps, mut stopped, mut longest) = (0, 0, 0);
        for device in &devices {
            let plan = planner.plan(device);
            steps += plan.steps.len();
            stopped += plan.stopped.len();
            longest = longest.max(plan.steps.len());
        }
        let took = before.elapsed();
        println!(
            "{name}: {DEVICES} PCs x {PACKAGES} packages in {} ms ({:.1} us a PC); {steps} steps, {stopped} problems, longest plan {longest}",
            took.as_millis(),
            took.as_secs_f64() * 1e6 / f64::from(u32::try_from(DEVICES).unwrap()),
        );
    }
}

fn id(number: usize) -> PackageId {
    format!("vendor{}.program{number}", number % 37).parse().unwrap()
}

/// Each depends on up to two with smaller numbers; some conflict with or replace an old one that nobody wishes.
fn catalogue() -> Catalogue {
    let package = |number: usize| {
        let needs: BTreeSet<usize> = [number / 3, number / 7]
            .into_iter()
            .filter(|n| *n < number && number.is_multiple_of(4) && !matches!(n % 20, 6 | 8))
            .collect();
        let needs: Vec<_> =
            needs.into_iter().map(|n| serde_json::json!({ "package": id(n), "at_least": "1" })).collect();
        let conflicts = if number % 20 == 5 { vec![id(number + 1)] } else { Vec::new() };
        let replaces = if number % 20 == 7 { vec![id(number + 1)] } else { Vec::new() };
        let json = serde_json::json!({
            "id": id(number), "name": format!("Program {number}"), "version": "10.2.3", "system": "windows",
            "architectures": ["x64"], "detect": { "uninstall_key": format!("program{number}") },
            "install": ["msiexec.exe", "/i", format!("program{number}.msi"), "/qn"],
            "uninstall": { "registered": { "switches": ["/S"] } },
            "exit_codes": { "3010": "done_after_reboot" },
            "dependencies": needs, "conflicts": conflicts, "replaces": replaces,
        });
        serde_json::from_value::<Package>(json).unwrap()
    };
    Catalogue::new((0..PACKAGES).map(package).collect()).unwrap()
}

/// One for the school, then rooms, then groups; together they wish nearly all packages.
fn layers(planner: &mut Planner) -> Vec<LayerKey> {
    let mut keys = Vec::new();
    let mut add = |rank, name: String, wished: &dyn Fn(usize) -> bool| {
        let wishes = (0..PACKAGES).filter(|n| wished(*n) && !matches!(n % 20, 6 | 8));
        let wishes = wishes.map(|n| (id(n), Wish::Required { version: None })).collect();
        keys.push(planner.layer(Layer { source: Source { rank, name: name.parse().unwrap() }, wishes }));
    };
    add(Rank::School, "school".to_owned(), &|n| n % 2 == 0);
    for room in 0..ROOMS {
        add(Rank::Room, format!("room {room}"), &|n| n % 2 == 1 && (n + room) % 10 != 0);
    }
    for group in 0..GROUPS {
        add(Rank::Group, format!("group {group}"), &|n| n % 5 == group % 5);
    }
    keys
}

fn layers_of_room(number: usize) -> [usize; 3] {
    let room = number % ROOMS;
    [0, 1 + room, 1 + ROOMS + room % GROUPS]
}

fn own_layer(number: usize) -> Layer {
    let wishes: BTreeMap<_, _> = [(id(number % PACKAGES), Wish::Absent)].into();
    Layer { source: Source { rank: Rank::Device, name: format!("pc {number}").parse().unwrap() }, wishes }
}

/// Most of what a PC should have is there; a tenth is old or missing.
fn device(number: usize) -> Device {
    let found = |n: usize| match (n * 31 + number * 17) % 20 {
        0 => Found::Absent,
        1 => Found::Version("9.9".parse().unwrap()),
        _ if matches!(n % 20, 6 | 8) && !(n + number).is_multiple_of(9) => Found::Absent,
        _ => Found::Version("10.2.3".parse().unwrap()),
    };
    Device {
        system: software::package::System::Windows,
        architecture: software::package::Architecture::X64,
        layers: Vec::new(),
        observed: (0..PACKAGES).map(|n| (id(n), found(n))).collect(),
        given_up: BTreeSet::new(),
    }
}

const DEVICES: usize = 26_000;
const PACKAGES: usize = 200;
const ROOMS: usize = 1_000;
const GROUPS: usize = 40;
