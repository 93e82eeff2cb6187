//! A school to show: every state a page knows, and texts that would break a page that does not escape.

#[path = "programs.rs"]
pub(crate) mod programs;
#[path = "wlan.rs"]
mod wlan;

use std::collections::BTreeSet;

use inventory::backup::{
    BackupKind, BackupPlace, BackupResult, BackupRun, BackupSnapshot, BackupState, Facts,
};
use inventory::gate::{Layer, NewExam, NewRule, NewSlot, Sitting, Target};
use inventory::import::devices::read_devices;
use inventory::import::people::read_people;
use inventory::import::{Options, plan_devices, plan_people};
use inventory::lessons::Grid;
use inventory::mdm::{
    Action, AppId, AppleKind, Arrival, Asset, Found, Install, Licence, LicenceChange, LicenceState, Lookup,
    NewAppleService, NewCertificate, NewCommand, NewInvitation, NewIpadRule, Outcome, Reachable, When,
};
use inventory::night::{NightNote, NightPlan, NightState, PcTonight};
use inventory::vault::Vault;
use inventory::{
    AccessPointId, AppAssignmentId, Audience, BackupRunId, By, DeviceId, DhcpMode, EnrolmentId, EntryId,
    ExamId, FaultId, FaultKind, FaultState, Filter, FilterId, GroupId, ImageId, ImportId, Interface,
    InterfaceKind, Inventory, InvitationId, IpadRuleId, JobId, JobProgress, JobResult, JobTask, Level,
    ListAction, ListId, Network, NetworkId, NewDevice, NewList, NewToken, Observed, Result, Role, RoomId,
    RuleId, Sighting, SlotId, TokenId, UnixMillis, UserId, VoucherId, WaitingId, WishId, YouTube, clock,
};
use ipados::catalogue::Setting;
use ipados::rules::{Content, Preset};
use serde_json::{Value, json};

/// Ids of what was put in.
#[allow(dead_code, reason = "the example shows the school and needs no ids")]
#[derive(Clone, Copy)]
pub(crate) struct School {
    /// A room with devices.
    pub(crate) room: RoomId,
    /// A room without.
    pub(crate) empty_room: RoomId,
    /// Approved, idle, image current.
    pub(crate) device: DeviceId,
    /// Approved, a deploy runs.
    pub(crate) busy: DeviceId,
    /// Added beforehand, never seen.
    pub(crate) announced: DeviceId,
    /// An image with two versions.
    pub(crate) image: ImageId,
    /// The deploy that runs.
    pub(crate) job: JobId,
    /// A waiting PC.
    pub(crate) waiting: WaitingId,
    /// A PC that was rejected.
    pub(crate) rejected: WaitingId,
    /// A network.
    pub(crate) network: NetworkId,
    /// A class.
    pub(crate) class: GroupId,
    /// An allow list.
    pub(crate) list: ListId,
    /// A filter.
    pub(crate) filter: FilterId,
    /// A rule of the timetable.
    pub(crate) slot: SlotId,
    /// A lock of a device.
    pub(crate) lock: RuleId,
    /// A file of pupils that was taken over.
    pub(crate) people_import: ImportId,
    /// A file of devices that was taken over, and changed nothing.
    pub(crate) device_import: ImportId,
    /// An exam that runs in the library.
    pub(crate) exam: ExamId,
    /// A pupil of the class.
    pub(crate) pupil: UserId,
    /// A teacher of the class.
    pub(crate) teacher: UserId,
    /// An API token.
    pub(crate) token: TokenId,
    /// An iPad with answered, refused and waiting commands.
    pub(crate) ipad: EnrolmentId,
    /// A rule for iPads that contradicts another.
    pub(crate) ipad_rule: IpadRuleId,
    /// An app that an iPad has no licence for.
    pub(crate) app: AppId,
    /// That all iPads get it.
    pub(crate) app_assignment: AppAssignmentId,
    /// A program of PCs that failed somewhere.
    pub(crate) program: EntryId,
    /// That all PCs get it.
    pub(crate) software_wish: WishId,
    /// A link that enrols iPads.
    pub(crate) invitation: InvitationId,
    /// A fault of a PC that nobody has taken.
    pub(crate) fault: FaultId,
    /// An access point.
    pub(crate) access_point: AccessPointId,
    /// A voucher for a guest.
    pub(crate) voucher: VoucherId,
}

/// Puts a school into an empty inventory.
///
/// # Errors
/// The database failed.
pub(crate) async fn fill(inventory: &Inventory, vault: &Vault) -> Result<School> {
    let now = clock::now();
    let by = By { actor: "admin", at: now };
    let earlier = |mins: i64| By { actor: "deployd", at: UnixMillis(now.0 - mins * 60_000) };

    let network = NetworkId::random();
    for (id, name, cidr, first, last, mode) in [
        (network, "Unterricht", "10.77.0.0/22", "10.77.1.0", "10.77.3.200", DhcpMode::Server),
        (NetworkId::random(), "Verwaltung", "10.78.0.0/24", "10.78.0.50", "10.78.0.200", DhcpMode::Proxy),
    ] {
        let address = |text: &str| text.parse().unwrap_or(std::net::Ipv4Addr::UNSPECIFIED);
        let Ok(cidr) = cidr.parse::<inventory::Cidr>() else { continue };
        let router = Some(std::net::Ipv4Addr::from(u32::from(cidr.network()) + 1));
        let (pool_first, pool_last) = (address(first), address(last));
        let (name, lease_secs) = (name.to_owned(), 43_200);
        inventory
            .put_network(by, &Network { id, name, cidr, router, pool_first, pool_last, lease_secs, mode })
            .await?;
    }

    let room = inventory.create_room(by, "Raum 204").await?.id;
    let library = inventory.create_room(by, "Bücherei <groß> & hell").await?.id;
    let empty_room = inventory.create_room(by, "Aula").await?.id;

    let image = inventory.ensure_image(earlier(9000), "Debian Schule").await?;
    inventory.add_version(earlier(9000), image, &"1a".repeat(32), 4_800_000_000).await?;
    inventory.add_version(earlier(2000), image, &"2b".repeat(32), 5_100_000_000).await?;
    inventory.ensure_image(by, "CAD-Raum <2027>").await?;

    let mut devices = Vec::new();
    for n in 1..=5_u8 {
        let name = format!("r204-pc0{n}");
        devices.push(approved(inventory, by, n, &name, room).await?);
    }
    devices.push(approved(inventory, by, 6, "buecherei-pc01", library).await?);
    let ids: Vec<DeviceId> = devices.clone();
    let [device, behind, busy, failed, capturing, off] = ids.as_slice() else { unreachable_sample() };

    for (n, (id, manifest, at)) in [
        (device, "2b", by),
        (behind, "1a", by),
        (busy, "1a", by),
        (failed, "", earlier(2)),
        (capturing, "2b", by),
        (off, "2b", earlier(900)),
    ]
    .into_iter()
    .enumerate()
    {
        let hostname = inventory.device(*id).await?.map(|d| d.name);
        if let Some(name) = hostname.clone() {
            let room = if n == 5 { library } else { room };
            inventory.change_device(by, *id, &name, room, Some(image)).await?;
        }
        let observed = Observed {
            address: Some(format!("10.77.1.{}", n + 20)),
            runs_in: Some(if n == 2 || n == 4 { "boot_environment" } else { "installed_system" }.into()),
            agent_version: Some("0.1.0".into()),
            hostname: hostname.map(|name| name.to_string()),
            os: Some("Debian GNU/Linux 13 (trixie)".into()),
            kernel: Some("6.12.48+deb13-amd64".into()),
            manifest: Some(manifest.repeat(32)),
            disk: Some("nvme SAMSUNG MZVLB256HBHQ S4ELNX0N12345".into()),
            reported_at: Some(at.at),
        };
        inventory.observe_device(at, *id, &observed, None).await?;
    }
    let mac = |n: u8| format!("90:1b:0e:12:34:{n:02x}").parse();
    if let (Ok(first), Ok(new)) = (mac(1), mac(0x77)) {
        inventory.reserve_address(by, first, "10.77.0.51".parse().ok()).await?;
        let interfaces = vec![Interface { mac: new, kind: InterfaceKind::Lan, reserved_ip: None }];
        if let Ok(name) = "lehrer-pc01".parse() {
            let new = NewDevice { name, room: empty_room, desired_image: None, interfaces };
            devices.push(inventory.create_device(by, &new).await?);
        }
    }
    let announced = devices.last().copied().unwrap_or(*off);
    inventory
        .change_device(
            by,
            announced,
            &"lehrer-pc01".parse().unwrap_or_else(|_| unreachable_sample()),
            library,
            None,
        )
        .await?;

    let deploy = JobTask::Deploy { image, version: None };
    let done = inventory.create_job(earlier(60), *device, deploy).await?;
    inventory.start_job(earlier(58), done, Some(2)).await?;
    let result = JobResult {
        bytes: 5_100_000_000,
        transferred: 1_900_000_000,
        peer_bytes: 1_500_000_000,
        kept_bytes: 800_000_000,
        version: 2,
        ..JobResult::default()
    };
    inventory.complete_job(earlier(51), done, &result).await?;
    let bad = inventory.create_job(earlier(30), *failed, deploy).await?;
    inventory.start_job(earlier(29), bad, Some(2)).await?;
    let reason = "Die Platte <sda> mit 111,8 GiB ist zu klein für das Image (119,2 GiB); eine größere einbauen oder ein kleineres Image wählen.";
    inventory.fail_job(earlier(28), bad, reason).await?;
    let cancelled = inventory.create_job(earlier(20), *off, deploy).await?;
    inventory.cancel_job(earlier(19), cancelled).await?;
    inventory.create_job(earlier(2), *behind, deploy).await?;
    let job = inventory.create_job(earlier(4), *busy, deploy).await?;
    inventory.start_job(earlier(3), job, Some(2)).await?;
    let progress = |phase: &str, done_bytes, total_bytes| JobProgress {
        phase: phase.into(),
        done_bytes,
        total_bytes,
        at: now,
        ..JobProgress::default()
    };
    let transfer = JobProgress {
        bytes_per_sec: 48 << 20,
        transferred: 1_000_000_000,
        peer_bytes: 720_000_000,
        ..progress("transfer", 2_214_592_512, 5_100_000_000)
    };
    inventory.note_progress(by, job, &transfer).await?;
    let capture = inventory.create_job(earlier(1), *capturing, JobTask::Capture { image }).await?;
    inventory.start_job(earlier(1), capture, None).await?;
    inventory.note_progress(by, capture, &progress("prepare", 0, 0)).await?;

    let waiting =
        see(inventory, earlier(6), 0x77, hardware(0x77, "FUJITSU", "ESPRIMO Q558", "YM4R009977")).await?;
    see(inventory, earlier(5), 0x40, hardware(0x40, "LENOVO", "ThinkCentre M70q", "YM4R000003")).await?;
    see(
        inventory,
        earlier(4),
        0x41,
        json!({"vendor": "<script>alert(1)</script>", "serial": "\"><img src=x>", "nics": 7}),
    )
    .await?;
    let rejected =
        see(inventory, earlier(400), 0x50, hardware(0x50, "Acer", "Aspire 3", "Default string")).await?;
    inventory.reject(earlier(390), rejected).await?;
    inventory
        .set_notices(
            earlier(12),
            "netd",
            &[(
                "pool/Unterricht".into(),
                "Im Netz Unterricht sind nur noch 7 von 713 Adressen frei.".into(),
                "Den Pool vergrößern oder Leases kürzer halten.".into(),
            )],
        )
        .await?;
    if let (Ok(known), Ok(unknown)) = (mac(1), mac(0x99)) {
        let at = |n| [10, 77, 1, n].into();
        inventory.see_strays(earlier(90), &[(network, known, at(200)), (network, unknown, at(201))]).await?;
        inventory.see_strays(earlier(2), &[(network, unknown, [10, 77, 0, 51].into())]).await?;
    }
    let class = lessons(inventory, by, network, room, &ids, announced).await?;
    night(inventory, by, room, &ids).await?;
    let exam = exam(inventory, by, library, *off).await?;
    let (list, filter, slot) = names(inventory, by, empty_room).await?;
    let (book, _) = inventory.gate_book(now).await?;
    let lock = book.rules().find(|rule| rule.layer == Layer::Lock).map(|rule| rule.id);
    let lock = lock.unwrap_or_else(|| unreachable_sample());
    let (device, busy) = (*device, *busy);
    let (people_import, device_import) = imports(inventory, by).await?;
    let (pupil, teacher, token) = people(inventory, by, class).await?;
    let (ipad, invitation) = ipads(inventory, by, library).await?;
    let ipad_rule = ipad_rules(inventory, vault, by, library).await?;
    let (app, app_assignment) = apps(inventory, by).await?;
    let (program, software_wish) = programs::programs(inventory, by, room, device, busy).await?;
    backups(inventory, by).await?;
    let fault = faults(inventory, by, room, devices.first().copied()).await?;
    let (access_point, voucher) = wlan::wlan(inventory, vault, by, room, class, pupil, device).await?;
    Ok(School {
        device_import,
        filter,
        list,
        lock,
        people_import,
        slot,
        exam,
        pupil,
        teacher,
        token,
        ipad,
        ipad_rule,
        app,
        app_assignment,
        program,
        software_wish,
        invitation,
        fault,
        access_point,
        voucher,
        class,
        room,
        empty_room,
        device,
        busy,
        announced,
        image,
        job,
        waiting,
        rejected,
        network,
    })
}

/// Files that were taken over: of pupils, and of devices.
async fn imports(inventory: &Inventory, by: By<'_>) -> Result<(ImportId, ImportId)> {
    let pupils = "ID;Vorname;Nachname;Klasse\n1;Lea;<groß>;5a\n2;Ömer;Kurz & Lang;5a\n";
    let options = Options { complete: true };
    let Ok(file) = read_people(pupils.as_bytes(), Role::Pupil) else { unreachable_sample() };
    let school = inventory.people_for_import().await?;
    let plan = plan_people(&file, &school, options);
    let (people, hashes) = (ImportId::random(), vec![String::from("x"); plan.counts().new]);
    inventory.apply_people(by, (people, "schild <groß>.csv"), &school, &plan, &hashes).await?;
    let Ok(file) = read_devices(b"Raum;Name;MAC\nRaum 204;r204-pc01;90:1b:0e:12:34:01\n") else {
        unreachable_sample()
    };
    let fleet = inventory.fleet_for_import().await?;
    let plan = plan_devices(&file, &fleet, "", Options { complete: false });
    let devices = ImportId::random();
    inventory.apply_devices(by, (devices, "devices.csv"), &fleet, &plan).await?;
    Ok((people, devices))
}

/// An iPad with an answered question, a refused command and one that waits; and an invitation for more.
async fn ipads(inventory: &Inventory, by: By<'_>, room: RoomId) -> Result<(EnrolmentId, InvitationId)> {
    let ends_at = by.at.plus_secs(7 * 86_400);
    let new = NewInvitation { hash: "sample", device: None, room, group: None, uses: 30, ends_at };
    let invitation = inventory.create_invitation(by, new).await?;
    let opened = inventory.open_invitation(by, "sample", "challenge", ends_at, None).await?;
    let ipad = opened.map_or_else(EnrolmentId::random, |opened| opened.enrolment);
    let certificate =
        NewCertificate { fingerprint: "f1", serial: "01", ends_at: by.at.plus_secs(700 * 86_400) };
    inventory.certify(by, "challenge", "key", certificate).await?;
    let arrival = Arrival {
        fingerprint: "f1",
        udid: "00008101-000A4D1C1E88001E",
        serial: "DMPX4Q7WQ1",
        model: "iPad13,18",
        os_version: "18.1",
    };
    inventory.mdm_arrive(by, arrival).await?;
    inventory
        .mdm_reachable(by, ipad, Reachable { push: "", unlock_token: None, awaiting: false, welcome: &[] })
        .await?;
    let command = |kind: &str| NewCommand {
        enrolment: ipad,
        kind: kind.into(),
        body: String::new(),
        replaces: String::new(),
        repeatable: true,
        priority: 0,
        ends_at,
    };
    let list =
        ["DeviceInformation", "InstalledApplicationList", "InstallProfile", "ProfileList"].map(command);
    let ids = inventory.queue_commands(by, &list).await?;
    let said = json!({ "battery": 0.8, "free_gb": 41.5, "supervised": true });
    let apps = json!([{ "name": "<b>Rechnen</b>", "version": "2.1" }]);
    let outcomes = [
        Outcome::Done(Some(Found { kind: "device", body: said, facts: None })),
        Outcome::Done(Some(Found { kind: "apps", body: apps, facts: None })),
        Outcome::Failed("The profile is invalid (MCProfileErrorDomain 1000)".into()),
    ];
    for (id, outcome) in ids.into_iter().zip(outcomes) {
        inventory.next_command(by, ipad, Some((id, outcome))).await?;
    }
    inventory
        .ask_ipads(by, &[ipad], &Action::Lock { message: "Bitte <abgeben>".into() }, "", ends_at)
        .await?;
    Ok((ipad, invitation))
}

/// An app that one iPad has no licence for, a content token of a place that another server manages.
async fn apps(inventory: &Inventory, by: By<'_>) -> Result<(AppId, AppAssignmentId)> {
    let Ok(id) = "361309726".parse::<AppId>() else { unreachable_sample() };
    let asset = Asset { id, pricing: "STDQ".into(), total: 30, available: 0, usable: true };
    inventory.keep_app_catalogue(by, &[asset]).await?;
    let named =
        Lookup { id, name: "Rechnen <&>".into(), bundle_id: "de.rechnen".into(), version: "2.1".into() };
    inventory.name_apps(by, &[named]).await?;
    let given = inventory.assign_app(by, id, Audience::School, Install::Required).await?;
    let keys = ["server".to_owned()];
    inventory.configure_app(by, id, Some(("sealed", &keys))).await?;
    let licence = Licence {
        app: id,
        serial: "DMPX4Q7WQ1".into(),
        location: "1".into(),
        state: LicenceState::Lacking,
        event: None,
        problem: None,
        tries: 0,
        not_before: by.at,
        changed_at: by.at,
    };
    inventory.note_app_licences(by, &[LicenceChange::Is(licence)]).await?;
    let about = json!({ "organisation": "Testschule <&>" });
    let ends_at = Some(by.at.plus_secs(300 * 86_400));
    let new = NewAppleService { secret: "sealed", about: &about, ends_at };
    inventory.import_apple_service(by, AppleKind::Apps, new).await?;
    let state = json!({ "location": { "id": "1", "name": "Standort" }, "other": { "id": "x", "name": "Anderer <&>" } });
    let problem = "another server, Anderer <&>, manages the licences of this content token";
    if let Some(service) = inventory.apple_service(AppleKind::Apps).await? {
        inventory.note_apple_service(by, &service, &state, Some(problem)).await?;
    }
    Ok((id, given))
}

/// A class of two pupils and their teacher, a pupil elsewhere, and a program that reads.
async fn people(inventory: &Inventory, by: By<'_>, class: GroupId) -> Result<(UserId, UserId, TokenId)> {
    let pupil = inventory.create_user(by, "lea.maier", "x", Role::Pupil).await?;
    let other = inventory.create_user_with_temporary_password(by, "max<b>", "x", Role::Pupil).await?;
    let teacher = inventory.create_user(by, "frau-groß", "x", Role::Teacher).await?;
    inventory.create_user(by, "noah.ohne-klasse", "x", Role::Pupil).await?;
    inventory.add_to_group(by, class, &[pupil, other, teacher], &[]).await?;
    let (scopes, networks) = (["devices:read".to_owned()], ["10.77.0.0/16".to_owned()]);
    let expires_at = by.at.plus_secs(30 * 86_400);
    let new = NewToken {
        name: "Inventur <Stadt>",
        hash: "no hash",
        scopes: &scopes,
        networks: &networks,
        expires_at,
    };
    let token = inventory.create_token(by, new).await?;
    Ok((pupil, teacher, token))
}

/// A class in a lesson: the room is on for a while, one PC is locked, one does not do yet what it should.
async fn lessons(
    inventory: &Inventory,
    by: By<'_>,
    network: NetworkId,
    room: RoomId,
    pcs: &[DeviceId],
    teachers: DeviceId,
) -> Result<GroupId> {
    let class = inventory.create_group(by, "7b <&>").await?.id;
    inventory.add_to_group(by, class, &[], pcs).await?;
    inventory.set_network_gate(by, network, Some(Level::Filtered.into()), None, true).await?;
    inventory.set_owner(by, teachers, None, true).await?;
    let (week, _) = inventory::lessons::parse_week("1;8:00;8:45\n2;8:50;9:35\n3;9:55;10:40\n4;10:45;11:30");
    inventory.set_grid(by, &Grid { week, special: Vec::new() }).await?;
    let rule = |layer, target, level: Level, secs| NewRule {
        layer,
        target,
        setting: level.into(),
        starts_at: by.at,
        ends_at: Some(by.at.plus_secs(secs)),
    };
    let colleague = By { actor: "frau-groß", ..by };
    inventory.add_rules(colleague, &[rule(Layer::Grant, Target::Room(room), Level::On, 2400)]).await?;
    let (locked, others) = pcs.split_last().unwrap_or_else(|| unreachable_sample());
    if let [first, second, ..] = others {
        inventory.add_rules(by, &[rule(Layer::Grant, Target::Device(*second), Level::Off, 1200)]).await?;
        inventory.add_rules(by, &[rule(Layer::Lock, Target::Device(*locked), Level::Off, 86_400)]).await?;
        let on = |id: &DeviceId| (*id, Level::On, Some(by.at.plus_secs(2400)));
        let mut levels: Vec<_> = others.iter().map(on).collect();
        levels.extend([(*second, Level::Off, None), (*locked, Level::Filtered, None)]);
        levels.retain(|(id, level, _)| id != second || *level == Level::Off);
        levels.retain(|(id, ..)| id != first);
        inventory.confirm_levels(By { actor: "gate", ..by }, &levels).await?;
    }
    Ok(class)
}

/// A night in which most PCs of a room became ready.
async fn night(inventory: &Inventory, by: By<'_>, room: RoomId, pcs: &[DeviceId]) -> Result<()> {
    let evenings = [true, true, true, true, true, false, false];
    let local = inventory::lessons::local(by.at);
    // The shift is over, or has not begun, at whatever hour the school is looked at.
    let in_hours = |hours: i8| u16::from((local.hour() + hours).rem_euclid(24).unsigned_abs()) * 60;
    let (begins, ends) = (in_hours(3), in_hours(11));
    let plan = NightPlan { room, evenings, begins, ends, image: true, switch_off: true, rests_on: None };
    inventory.set_night_plan(by, &plan).await?;
    let evening = local.date();
    let states = [
        NightState::SwitchedOff,
        NightState::Ready,
        NightState::InUse,
        NightState::Silent,
        NightState::ImageFailed("the disk of <b>the PC</b> cannot be written".to_owned()),
    ];
    let note = |(state, device): (NightState, &DeviceId)| PcTonight {
        device: *device,
        evening,
        note: NightNote { state, calls: 1, since: by.at },
    };
    let mut notes: Vec<PcTonight> = states.into_iter().zip(pcs).map(note).collect();
    let before = notes.iter().take(3).cloned();
    let before = before.map(|note| PcTonight { evening: evening.yesterday().unwrap_or(evening), ..note });
    notes.extend(before.collect::<Vec<_>>());
    inventory.keep_night_notes(by, &notes).await
}

/// Lists, a filter that uses them, and hours at which a room has no internet: one without devices, whose state would depend on the hour.
async fn names(inventory: &Inventory, by: By<'_>, room: RoomId) -> Result<(ListId, FilterId, SlotId)> {
    let (own, published, filter) = (ListId::random(), ListId::random(), FilterId::random());
    let lexika = NewList { name: "Lexika & <Wörter>", source: None, names: "duden.de\nwikipedia.org\n" };
    inventory.put_name_list(by, own, &lexika).await?;
    let source = Some("https://listen.example/gewalt.txt");
    inventory.put_name_list(by, published, &NewList { name: "Gewalt", source, names: "" }).await?;
    let name = "Unterstufe".to_owned();
    let lists = vec![(own, ListAction::Allow), (published, ListAction::Block)];
    let new = Filter { id: filter, name, safe_search: true, youtube: YouTube::Strict, lists };
    inventory.put_filter(by, &new).await?;
    let slot = NewSlot {
        target: Target::Room(room),
        setting: Level::Off.into(),
        days: vec![1, 2, 3, 4, 5],
        starts: 465,
        ends: 795,
        school_days: true,
    };
    Ok((own, filter, inventory.add_slot(by, &slot).await?))
}

/// Rules for iPads: the school's, and a room's that says something else.
async fn ipad_rules(inventory: &Inventory, vault: &Vault, by: By<'_>, room: RoomId) -> Result<IpadRuleId> {
    let mut school = Content { presets: [Preset::SchoolIpad].into(), ..Content::default() };
    let mut library = Content::default();
    // A key of the catalogue with a value of its type is always taken.
    let _ = school.restrictions.set("allowCamera", Setting::Bool(true));
    let _ = library.restrictions.set("allowCamera", Setting::Bool(false));
    let whole =
        NewIpadRule { name: "Alle <iPads> & mehr".into(), target: None, when: When::Always, content: school };
    inventory.save_ipad_rule(by, vault, None, &whole).await?;
    let target = Some(Target::Room(room));
    let quiet = NewIpadRule { name: "Bücherei".into(), target, when: When::SchoolHours, content: library };
    inventory.save_ipad_rule(by, vault, None, &quiet).await
}

/// An exam with somebody who is absent and somebody who tried a way around.
async fn exam(inventory: &Inventory, by: By<'_>, room: RoomId, pc: DeviceId) -> Result<ExamId> {
    let by = By { actor: "frau-groß", ..by };
    let ends_at = by.at.plus_secs(3600);
    let (targets, apps) = ([Target::Room(room)], BTreeSet::new());
    let new = NewExam { name: "Mathe <7b> & Co", targets: &targets, list: None, apps: &apps, ends_at };
    let exam = inventory.begin_exam(by, &new).await?;
    let seen = Some(by.at);
    let sitting = |device, name: &str, seen, dodged| Sitting {
        exam,
        device,
        name: name.into(),
        first_seen: seen,
        last_seen: seen,
        refused: dodged * 7,
        dodged,
    };
    let news = [
        sitting(pc, "buecherei-pc01", seen, 0),
        sitting(DeviceId::random(), "buecherei-pc02", None, 0),
        sitting(DeviceId::random(), "ipad-17", seen, 3),
    ];
    inventory.note_sittings(By { actor: "gate", ..by }, &news).await?;
    Ok(exam)
}

/// One that is open, one that is taken and one that is mended.
async fn faults(inventory: &Inventory, by: By<'_>, room: RoomId, pc: Option<DeviceId>) -> Result<FaultId> {
    let hours = |n: i64, actor| By { actor, at: UnixMillis(by.at.0 - n * 3_600_000) };
    let printer = inventory
        .report_fault(hours(50, "admin"), room, None, FaultKind::Printer, "Papierstau <laut>")
        .await?;
    inventory.say_of_fault(hours(20, "admin"), printer, FaultState::Done, "Papier entfernt").await?;
    let board = inventory.report_fault(hours(3, "admin"), room, None, FaultKind::Display, "").await?;
    inventory.say_of_fault(hours(2, "admin"), board, FaultState::Taken, "Lampe ist bestellt").await?;
    inventory.report_fault(hours(1, "admin"), room, pc, FaultKind::Pc, "geht nicht an").await
}

/// A backup of last night, and one that failed for lack of room.
async fn backups(inventory: &Inventory, by: By<'_>) -> Result<()> {
    let facts = Facts {
        seq: inventory.last_change().await?.saturating_sub(20),
        devices: 4,
        ..inventory.facts().await?
    };
    let last_night = UnixMillis(by.at.0 - 9 * 3_600_000);
    let snapshot = BackupSnapshot { id: SNAPSHOT.into(), at: last_night, facts };
    let next_at = by.at.plus_secs(15 * 3600);
    let place = BackupPlace { repository: "sftp:sicherung@nas.schule.internal:/hausmeister".into(), next_at };
    inventory.set_backup_place(Some(&place), Some(&[snapshot])).await?;
    let full = "/mnt/usb has no room left: make some, or choose a larger disk";
    let new_bytes = 84 << 20;
    for (hours, state, error) in
        [(33, BackupState::Failed, Some(full.to_owned())), (9, BackupState::Done, None)]
    {
        let at = UnixMillis(by.at.0 - hours * 3_600_000);
        let run = BackupRun {
            id: BackupRunId::random(),
            kind: BackupKind::Backup,
            state,
            snapshot: error.is_none().then(|| SNAPSHOT.to_owned()),
            asked_by: "hausmeister".into(),
            asked_at: at,
            ended_at: Some(at.plus_secs(95)),
            percent: 100,
            result: BackupResult { error, new_bytes, ..BackupResult::default() },
        };
        inventory.keep_backup_run(By { actor: "hausmeister", at }, &run).await?;
    }
    Ok(())
}

async fn approved(inventory: &Inventory, by: By<'_>, n: u8, name: &str, room: RoomId) -> Result<DeviceId> {
    let told = hardware(n, "FUJITSU", "ESPRIMO Q558", &format!("YM4R00000{n}"));
    let waiting = see(inventory, by, n, told).await?;
    let name = name.parse().unwrap_or_else(|_| unreachable_sample());
    Ok(inventory.approve(by, waiting, &name, room, None, None).await?.0)
}

async fn see(inventory: &Inventory, by: By<'_>, n: u8, hardware: Value) -> Result<WaitingId> {
    let key = format!("{n:02x}").repeat(32).parse().unwrap_or_else(|_| unreachable_sample());
    let address = format!("10.77.1.{n}");
    let seen = Sighting { key: &key, hardware: &hardware, address: &address };
    Ok(inventory.see_waiting(by, &seen).await?.id)
}

fn hardware(n: u8, vendor: &str, product: &str, serial: &str) -> Value {
    json!({
        "vendor": vendor,
        "product": product,
        "serial": serial,
        "uuid": format!("4c4c4544-0042-3510-8054-b4c04f4a4d{n:02x}"),
        "firmware": "uefi_secure_boot",
        "cpu": "Intel(R) Core(TM) i5-9400T CPU @ 1.80GHz",
        "cpu_count": 6,
        "memory_bytes": 8_222_162_944_u64,
        "disks": [
            {"name": "nvme0n1", "model": "SAMSUNG MZVLB256HBHQ-000L7", "serial": format!("S4ELNX0N12345{n}"), "bytes": 256_060_514_304_u64},
            {"name": "sda", "model": "Cruzer Blade", "serial": "AA0011", "bytes": 15_728_640_000_u64, "removable": true},
        ],
        "nics": [
            {"name": "eno1", "mac": format!("90:1b:0e:12:34:{n:02x}")},
            {"name": "wlp2s0", "mac": format!("a0:51:0b:12:34:{n:02x}"), "wireless": true},
        ],
    })
}

/// The backup of last night.
pub(crate) const SNAPSHOT: &str = "bf9cd062";

#[allow(clippy::panic, reason = "a sample that does not fit together is a mistake of whoever wrote it")]
fn unreachable_sample() -> ! {
    panic!("the sample does not fit together")
}
