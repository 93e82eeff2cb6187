//! What is planned, in which order, and why not.

use super::*;
use crate::package::tests::{p, parts};
use crate::package::{Dependency, Found, Parts, Upgrade};
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

/// A package from `b 1.0 needs:a>=2,c conflicts:d replaces:e never`.
fn package(text: &str) -> Package {
    let mut words = text.split(' ');
    let mut parts: Parts = parts(words.next().unwrap(), words.next().unwrap());
    for word in words {
        match word.split_once(':') {
            Some(("needs", names)) => parts.dependencies = names.split(',').map(dependency).collect(),
            Some(("conflicts", names)) => parts.conflicts = names.split(',').map(p).collect(),
            Some(("replaces", names)) => parts.replaces = names.split(',').map(p).collect(),
            Some(("system", _)) => parts.architectures = [Architecture::Arm64].into(),
            _ if word == "never" => parts.upgrade = Upgrade::Never,
            _ if word == "reinstall" => parts.upgrade = Upgrade::Reinstall,
            _ if word == "stays" => parts.uninstall = None,
            _ => panic!("{word}"),
        }
    }
    parts.try_into().unwrap()
}

fn dependency(text: &str) -> Dependency {
    let (name, least) = text.split_once(">=").map_or((text, None), |(name, least)| (name, Some(p(least))));
    Dependency { package: p(name), at_least: least }
}

/// A layer from `room:a,b=1.0,-c`.
fn layer(text: &str) -> Layer {
    let (rank, wishes) = text.split_once(':').unwrap();
    let wish = |text: &str| match (text.strip_prefix('-'), text.split_once('=')) {
        (Some(name), _) => (p(name), Wish::Absent),
        (None, Some((name, version))) => (p(name), Wish::Required { version: Some(p(version)) }),
        (None, None) => (p(text), Wish::Required { version: None }),
    };
    let source = Source {
        rank: serde_json::from_str(&format!("\"{}\"", rank.trim_end_matches('2'))).unwrap(),
        name: p(rank),
    };
    Layer { source, wishes: wishes.split(',').filter(|text| !text.is_empty()).map(wish).collect() }
}

fn observed(text: &str) -> Observed {
    let found = |text: &str| match text.split_once('=') {
        Some((name, "?")) => (p(name), Found::Differs),
        Some((name, version)) => (p(name), Found::Version(p(version))),
        None => (p(text), Found::Unversioned),
    };
    text.split_whitespace().map(found).collect()
}

pub(crate) fn made(packages: &[&str], layers: &[&str], there: &str) -> (Planner, Device) {
    let catalogue = Catalogue::new(packages.iter().map(|text| package(text)).collect()).unwrap();
    let mut planner = Planner::new(Arc::new(catalogue));
    let layers = layers.iter().map(|text| planner.layer(layer(text))).collect();
    let device = Device {
        system: System::Windows,
        architecture: Architecture::X64,
        layers,
        observed: observed(there),
        given_up: BTreeSet::new(),
    };
    (planner, device)
}

fn short(plan: &Plan) -> String {
    let step = |step: &Step| match step.action {
        Action::Install => format!("+{} {}", step.package.id, step.package.version),
        Action::Upgrade { .. } => format!("^{} {}", step.package.id, step.package.version),
        Action::Uninstall { .. } => format!("-{}", step.package.id),
    };
    let steps: Vec<String> = plan.steps.iter().map(step).collect();
    let stopped: Vec<String> =
        plan.stopped.iter().map(|s| format!("!{} {}", s.package, name(&s.problem))).collect();
    [steps, stopped].concat().join(", ")
}

fn name(problem: &Problem) -> String {
    let text = format!("{problem:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

fn check(packages: &[&str], layers: &[&str], there: &str, expected: &str) {
    let (mut planner, device) = made(packages, layers, there);
    assert_eq!(short(&planner.plan(&device)), expected, "{layers:?} with {there:?}");
}

#[test]
fn dependencies_come_first_and_only_what_is_missing_is_done() {
    let packages = ["a 1", "b 2 needs:a", "c 1 needs:b>=2,d", "d 1", "e 1"];
    check(&packages, &["school:c"], "", "+a 1, +b 2, +d 1, +c 1");
    check(&packages, &["school:c"], "b=1 d=9", "+a 1, ^b 2, +c 1");
    check(&packages, &["school:c"], "a b c d", "");
    check(&packages, &["school:c"], "a=? b c d", "^a 1");
    let (mut planner, device) = made(&packages, &["school:c"], "");
    let plan = planner.plan(&device);
    assert_eq!(
        plan.steps.iter().map(|step| step.after.clone()).collect::<Vec<_>>(),
        [vec![], vec![0], vec![], vec![1, 2]]
    );
    assert_eq!(plan.steps[0].reason, Reason::DependencyOf(vec![p("b")]));
}

#[test]
fn the_more_specific_wish_wins_and_says_over_which() {
    let packages = ["a 1", "a 2"];
    check(&packages, &["school:a", "device:-a"], "a=1", "-a");
    check(&packages, &["school:-a", "room:a=1"], "", "+a 1");
    check(&packages, &["room:a", "room2:a=1"], "", "+a 1");
    check(&packages, &["room:a", "room2:-a"], "", "!a Contradiction");
    check(&packages, &["group:a=2", "group2:a=1"], "", "!a Contradiction");
    let (mut planner, device) = made(&packages, &["school:-a", "room:a"], "");
    let plan = planner.plan(&device);
    let Reason::Assigned(decision) = &plan.steps[0].reason else { panic!("{plan:?}") };
    assert_eq!((decision.by[0].rank, decision.over[0].clone().0.rank), (Rank::Room, Rank::School));
    assert_eq!(decision.over[0].1, Wish::Absent);
}

#[test]
fn a_problem_stops_its_package_and_no_other() {
    let packages =
        ["a 1 needs:b", "b 1 needs:c", "c 1 needs:a", "d 1 needs:a", "e 1", "f 1 needs:x", "g 1 system:arm"];
    check(&packages, &["school:d,e"], "", "+e 1, !a Cycle, !b Cycle, !c Cycle, !d DependencyStopped");
    check(&packages, &["school:e,f,g,h"], "", "+e 1, !f MissingDependency, !g Unsuitable, !h Unknown");
    check(
        &packages,
        &["school:e=2,a,-c"],
        "",
        "!a DependencyStopped, !b DependencyForbidden, !e NoSuchVersion",
    );
    let packages = ["a 1 needs:b>=2", "b 1", "b 2", "c 1 never", "d 1 stays"];
    check(
        &packages,
        &["school:a,b=1,c,-d"],
        "c=0.5 d=1",
        "+b 1, !a DependencyTooOld, !c CannotUpgrade, !d CannotUninstall",
    );
    check(&packages, &["school:b=1"], "b=2", "!b NewerInstalled");
    check(&packages, &["school:b"], "b=3", "");
    let (mut planner, mut device) = made(&packages, &["school:a,c"], "");
    device.given_up = [p("b")].into();
    assert_eq!(short(&planner.plan(&device)), "+c 1, !a DependencyStopped, !b GaveUp");
}

#[test]
fn what_cannot_be_together_is_not_brought_together() {
    let packages = ["a 1 conflicts:b", "b 1", "c 1 needs:b", "d 1", "e 2 replaces:d", "f 1 needs:d"];
    check(&packages, &["school:a,c,d"], "", "+d 1, !a Conflict, !b Conflict, !c DependencyStopped");
    check(&packages, &["school:a"], "b=1", "!a Conflict");
    check(&packages, &["school:b"], "a=1", "!b Conflict");
    check(&packages, &["school:a,-b"], "b=1", "-b, +a 1");
    check(&packages, &["school:a,-b"], "b=1 c=1", "!a Conflict, !b NeededBy");
    check(&packages, &["school:a,-b,-c"], "b=1 c=1", "-c, -b, +a 1");
    check(&packages, &["school:e"], "d=1", "-d, +e 2");
    check(&packages, &["school:e"], "d=1 e=2", "-d");
    check(&packages, &["school:e"], "d=1 f=1", "!d NeededBy, !e Conflict");
    check(&packages, &["school:e,d"], "", "!d Conflict, !e Conflict");
    check(&["a 1", "a 2 reinstall"], &["school:a"], "a=1", "-a, +a 2");
}

#[test]
fn two_entries_for_the_same_pcs_are_no_catalogue() {
    let twice = Catalogue::new(vec![package("a 1"), package("a 1.0")]);
    assert_eq!(twice, Err(CatalogueError::Twice { id: p("a"), version: p("1.0") }));
    let many = (0..65).map(|at| package(&format!("a {at}"))).collect();
    assert_eq!(Catalogue::new(many), Err(CatalogueError::TooManyOf(p("a"))));
}

#[test]
fn a_plan_is_read_back_from_its_json() {
    let (mut planner, device) = made(&["a 1 needs:b", "b 1"], &["school:a,c"], "");
    let plan = planner.plan(&device);
    assert_eq!(serde_json::from_str::<Plan>(&serde_json::to_string(&plan).unwrap()).unwrap(), plan);
}

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

fn any_package(id: &'static str) -> impl Strategy<Value = Package> {
    let some = || subsequence(NAMES.to_vec(), 0..3);
    (some(), some(), some(), 0..3_u8, 0..8_u8).prop_map(move |(needs, conflicts, replaces, version, kind)| {
        let mut parts = parts(id, &version.to_string());
        let others = |names: Vec<&'static str>| names.into_iter().filter(|name| *name != id);
        parts.dependencies = others(needs)
            .map(|name| Dependency { package: p(name), at_least: (kind % 2 == 0).then(|| p("1")) })
            .collect();
        let free = |name: &&str| !parts.dependencies.iter().any(|d| d.package.as_str() == *name);
        // Too many conflicts would leave nothing to plan.
        let conflicts: Vec<_> = others(conflicts).filter(free).filter(|_| kind > 5).map(p).collect();
        let replaces: Vec<_> = others(replaces).filter(free).filter(|_| kind > 4).map(p).collect();
        parts.conflicts = conflicts.into_iter().collect();
        parts.replaces = replaces.into_iter().collect();
        match kind {
            1 => parts.upgrade = Upgrade::Never,
            2 => parts.uninstall = None,
            3 => parts.upgrade = Upgrade::Reinstall,
            _ => {}
        }
        parts.try_into().unwrap()
    })
}

fn any_case() -> impl Strategy<Value = (Planner, Device)> {
    let packages: Vec<_> = NAMES.iter().map(|id| any_package(id)).collect();
    let wish = prop_oneof![
        3 => Just(Wish::Required { version: None }),
        1 => Just(Wish::Required { version: Some(p("1")) }),
        1 => Just(Wish::Absent),
    ];
    let wishes =
        || proptest::collection::btree_map((0..NAMES.len()).prop_map(|at| p(NAMES[at])), wish.clone(), 0..6);
    let found = prop_oneof![
        Just(Found::Absent),
        Just(Found::Differs),
        Just(Found::Unversioned),
        (0..3_u8).prop_map(|version| Found::Version(p(&version.to_string()))),
    ];
    let found = proptest::collection::vec(found, NAMES.len());
    (packages, wishes(), wishes(), found, any::<Index>()).prop_map(
        |(packages, school, room, found, missing)| {
            let mut packages: Vec<Package> = packages;
            packages.remove(missing.index(NAMES.len()));
            let mut planner = Planner::new(Arc::new(Catalogue::new(packages).unwrap()));
            let mut layer =
                |rank, wishes| planner.layer(Layer { source: Source { rank, name: p("x") }, wishes });
            let layers = vec![layer(Rank::School, school), layer(Rank::Room, room)];
            let observed = NAMES.iter().map(|name| p(name)).zip(found).collect();
            let (system, architecture) = (System::Windows, Architecture::X64);
            (planner, Device { system, architecture, layers, observed, given_up: BTreeSet::new() })
        },
    )
}

/// Carries out a plan, and complains about every step that comes too early.
fn carry_out(plan: &Plan, observed: &mut Observed) {
    for (at, step) in plan.steps.iter().enumerate() {
        assert!(step.after.iter().all(|earlier| *earlier < at), "{}", short(plan));
        let package = &step.package;
        if matches!(step.action, Action::Uninstall { .. }) {
            assert!(observed[&package.id].present(), "{}", short(plan));
            observed.insert(package.id.clone(), Found::Absent);
            continue;
        }
        for dependency in &package.dependencies {
            let there = match observed.get(&dependency.package) {
                Some(Found::Unversioned) => true,
                Some(Found::Version(version)) => dependency
                    .at_least
                    .as_ref()
                    .is_none_or(|least| System::Windows.compare(version, least).is_ge()),
                _ => false,
            };
            assert!(there, "{} before {}: {}", package.id, dependency.package, short(plan));
        }
        for other in package.conflicts.iter().chain(&package.replaces) {
            let there = observed.get(other).is_some_and(Found::present);
            // What the catalogue does not have cannot be looked for.
            assert!(!there || !plan.steps.iter().any(|s| s.package.id == *other), "{}", short(plan));
        }
        observed.insert(package.id.clone(), Found::Version(package.version.clone()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn a_plan_can_be_carried_out_and_then_nothing_is_left((mut planner, mut device) in any_case()) {
        let plan = planner.plan(&device);
        prop_assert_eq!(&plan, &planner.plan(&device));
        for step in &plan.steps {
            prop_assert!(!plan.stopped.iter().any(|stopped| stopped.package == step.package.id), "{}", short(&plan));
        }
        let changed: BTreeSet<_> = plan.steps.iter().map(|step| &step.package.id).collect();
        let reinstalled = plan.steps.iter().filter(|step| step.reason == Reason::Reinstall).count();
        prop_assert_eq!(changed.len() + reinstalled, plan.steps.len());
        carry_out(&plan, &mut device.observed);
        let again = planner.plan(&device);
        prop_assert!(again.steps.is_empty(), "{} then {}", short(&plan), short(&again));
    }
}
