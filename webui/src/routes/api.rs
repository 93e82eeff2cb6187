//! The part of the table that is the API's: every route with what it says and answers.

use inventory::gate::{Exam, Rule, Slot};
use inventory::import::{Import, Undone};
use inventory::lessons::Grid;
use inventory::mdm::{AdeDevice, App, AppleService, Enrolment, Invitation};
use inventory::night::NightPlan;
use inventory::{
    Change, Device, Filter, Group, Image, Job, NameList, Network, Notice, Room, Stray, Token, Waiting,
};
use serde_json::Value;

use super::{Route, delete, get, post, put};
use crate::api::read::List;
use crate::api::{
    apple, apps, backups, exam, faults, gate, groups, imports, ipad_rules, ipads, mail, night, own, people,
    read, rules, session, software, tokens, wlan, write,
};
use crate::ipad_rules::RuleShown;
use crate::openapi;
use crate::rights::Right::{Devices, History, Lessons, Own, People, School};

/// What the API can do.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = device_api();
    routes.extend(lesson_api());
    routes.extend(rules_api());
    routes.extend(people_api());
    routes.extend(import_api());
    routes.extend(apple_api());
    routes.extend(ipad_api());
    routes.extend(app_api());
    routes.extend(software_api());
    routes.extend(wlan_api());
    routes
}

fn wlan_api() -> Vec<Route> {
    vec![
        get(School, "/api/v1/wlan", wlan::settings)
            .says("Name und Regeln des WLANs", "Name and rules of the WLAN")
            .gives::<wlan::SettingsJson>(),
        put(School, "/api/v1/wlan", wlan::save)
            .says("Name und Regeln des WLANs ändern", "Change name and rules of the WLAN"),
        get(School, "/api/v1/wlan/preview", wlan::preview)
            .says(
                "Was geschähe, wenn diese Person oder dieses Gerät jetzt ins WLAN wollte",
                "What would happen if this person or device wanted to join now",
            )
            .asks(&["name"])
            .gives::<crate::wlan::Foreseen>(),
        get(School, "/api/v1/wlan/stations", wlan::stations)
            .says("Wer im WLAN ist oder zuletzt war", "Who is on the WLAN, or was lately")
            .gives::<Vec<inventory::wlan::Station>>(),
        delete(School, "/api/v1/wlan/stations", wlan::forget)
            .says("Ein Gerät im WLAN vergessen", "Forget a device on the WLAN"),
        get(School, "/api/v1/wlan/refusals", wlan::refusals)
            .says("Wer zuletzt abgewiesen wurde, und warum", "Who was turned away lately, and why")
            .gives::<Vec<inventory::wlan::RefusalSeen>>(),
        get(School, "/api/v1/wlan/access-points", wlan::access_points)
            .says("Alle Access Points", "All access points")
            .gives::<Vec<inventory::wlan::AccessPoint>>(),
        post(School, "/api/v1/wlan/access-points", wlan::add_access_point)
            .says("Einen Access Point eintragen", "Enter an access point")
            .creates::<wlan::AccessPointAdded>(),
        put(School, "/api/v1/wlan/access-points/{id}", wlan::change_access_point).says(
            "Einen Access Point ändern; sein Geheimnis bleibt",
            "Change an access point; its secret stays",
        ),
        delete(School, "/api/v1/wlan/access-points/{id}", wlan::delete_access_point)
            .says("Einen Access Point entfernen", "Remove an access point"),
        post(School, "/api/v1/wlan/access-points/{id}/secret", wlan::secret)
            .says(
                "Das Geheimnis eines Access Points, auf Wunsch ein neues",
                "An access point's secret, or another one",
            )
            .gives::<wlan::SecretJson>()
            .fresh(),
        get(Lessons, "/api/v1/wlan/vouchers", wlan::vouchers)
            .says("Alle Gutscheine für Gäste", "All vouchers for guests")
            .gives::<Vec<inventory::wlan::Voucher>>(),
        post(Lessons, "/api/v1/wlan/vouchers", wlan::make_voucher)
            .says("Einen Gutschein ausstellen", "Make a voucher")
            .creates::<wlan::VoucherMade>(),
        delete(Lessons, "/api/v1/wlan/vouchers/{id}", wlan::end_voucher)
            .says("Einen Gutschein beenden", "End a voucher"),
        post(Devices, "/api/v1/devices/{id}/wlan-key", wlan::device_key)
            .says(
                "Der WLAN-Schlüssel eines Geräts, auf Wunsch ein neuer",
                "A device's key for the WLAN, or another one",
            )
            .gives::<wlan::SecretJson>()
            .fresh(),
        delete(Devices, "/api/v1/devices/{id}/wlan-key", wlan::delete_device_key)
            .says("Einem Gerät den WLAN-Schlüssel nehmen", "Take a device's key for the WLAN away"),
        get(Own, "/api/v1/own/wlan", wlan::own)
            .says("Die eigenen Geräte im WLAN", "One's own devices on the WLAN")
            .gives::<Vec<inventory::wlan::Station>>(),
        delete(Own, "/api/v1/own/wlan", wlan::own_forget)
            .says("Ein eigenes Gerät vergessen", "Forget a device of one's own"),
        post(Own, "/api/v1/own/wifi-password", wlan::make_own_password)
            .says("Ein Kennwort nur für das WLAN erzeugen", "Make a password for the WLAN alone")
            .gives::<wlan::SecretJson>()
            .fresh(),
        delete(Own, "/api/v1/own/wifi-password", wlan::delete_own_password)
            .says("Das Kennwort für das WLAN entfernen", "Remove the password for the WLAN"),
    ]
}

fn device_api() -> Vec<Route> {
    vec![
        get(Devices, "/api/v1/devices", read::devices)
            .says("Alle Geräte", "All devices")
            .gives::<List<Device>>(),
        get(Devices, "/api/v1/devices/{id}", read::device).says("Ein Gerät", "A device").gives::<Device>(),
        get(Devices, "/api/v1/waiting", read::waiting)
            .says("PCs, die auf Freigabe warten", "PCs that wait for approval")
            .gives::<List<Waiting>>(),
        get(Devices, "/api/v1/rooms", read::rooms).says("Alle Räume", "All rooms").gives::<List<Room>>(),
        get(Devices, "/api/v1/images", read::images).says("Alle Images", "All images").gives::<List<Image>>(),
        get(Devices, "/api/v1/jobs", read::jobs)
            .says("Die neuesten 500 Aufträge", "The newest 500 jobs")
            .gives::<List<Job>>(),
        get(Devices, "/api/v1/jobs/{id}", read::job).says("Ein Auftrag", "A job").gives::<Job>(),
        get(School, "/api/v1/networks", read::networks)
            .says("Alle Netze", "All networks")
            .gives::<List<Network>>(),
        get(Devices, "/api/v1/notices", read::notices)
            .says("Was nicht in Ordnung ist", "What is not in order")
            .gives::<List<Notice>>(),
        get(Devices, "/api/v1/strays", read::strays)
            .says("Adressen, die keine Lease erklärt", "Addresses that no lease explains")
            .gives::<List<Stray>>(),
        get(History, "/api/v1/changes", read::changes)
            .says(
                "Wer was geändert hat, nach einer Nummer, höchstens 500",
                "Who changed what, after a number, at most 500",
            )
            .asks(&["since"])
            .gives::<List<Change>>(),
        post(Devices, "/api/v1/waiting/{id}/approve", write::approve)
            .says("Einen wartenden PC freigeben", "Approve a waiting PC")
            .gives::<Value>(),
        post(Devices, "/api/v1/waiting/{id}/reject", write::reject)
            .says("Einen wartenden PC ablehnen", "Reject a waiting PC"),
        delete(Devices, "/api/v1/waiting/{id}", write::forget)
            .says("Einen abgelehnten PC wieder zulassen", "Allow a rejected PC again"),
        post(Devices, "/api/v1/devices", write::create_device)
            .says("Ein Gerät ankündigen", "Announce a device")
            .creates::<Device>(),
        put(Devices, "/api/v1/devices/{id}", write::change_device)
            .says("Name, Raum oder Image eines Geräts ändern", "Change a device's name, room or image")
            .gives::<Device>(),
        delete(Devices, "/api/v1/devices/{id}", write::delete_device)
            .says("Ein Gerät löschen", "Delete a device"),
        post(Devices, "/api/v1/devices/{id}/power", write::power)
            .says("Einen PC ein- oder ausschalten oder neu starten", "Switch a PC on or off, or restart it"),
        post(Devices, "/api/v1/devices/{id}/deploy", write::deploy)
            .says("Ein Image aufspielen lassen", "Have an image deployed")
            .creates::<write::JobJson>(),
        post(Devices, "/api/v1/devices/{id}/capture", write::capture)
            .says("Als Image aufnehmen lassen", "Have it captured as an image")
            .creates::<write::JobJson>(),
        post(Devices, "/api/v1/devices/{id}/reservation", write::reserve)
            .says("Eine feste Adresse setzen oder aufheben", "Set or clear a fixed address"),
        put(Devices, "/api/v1/devices/{id}/owner", gate::set_owner)
            .says("Sagen, wem ein Gerät gehört", "Say whose a device is"),
        post(Devices, "/api/v1/jobs/{id}/cancel", write::cancel_job)
            .says("Einen Auftrag abbrechen", "Cancel a job"),
        post(Devices, "/api/v1/rooms", write::create_room)
            .says("Einen Raum anlegen", "Add a room")
            .creates::<Room>(),
        put(Devices, "/api/v1/rooms/{id}", write::rename_room).says("Einen Raum umbenennen", "Rename a room"),
        post(Devices, "/api/v1/rooms/{id}/power", write::power_room)
            .says(
                "Die PCs eines Raums ein- oder ausschalten oder neu starten",
                "Switch the PCs of a room on or off, or restart them",
            )
            .gives::<write::PoweredJson>(),
        get(Devices, "/api/v1/night", night::latest)
            .says("Was aus der letzten Nachtschicht wurde", "What came of the last night shift")
            .gives::<Option<crate::night::Night>>(),
        get(Devices, "/api/v1/nights", night::history)
            .says("Die Nächte der letzten Wochen", "The nights of the last weeks")
            .gives::<Vec<crate::night::PastNight>>(),
        get(Devices, "/api/v1/drift", night::drift)
            .says("Was auf PCs anders ist, als es sein soll", "What is not on PCs as it should be")
            .gives::<Vec<crate::drift::Drift>>(),
        get(Devices, "/api/v1/night-plans", night::plans)
            .says("Die Räume mit Nachtschicht", "The rooms with a night shift")
            .gives::<List<NightPlan>>(),
        put(Devices, "/api/v1/rooms/{id}/night", night::save)
            .says("Die Nachtschicht eines Raums festlegen", "Set the night shift of a room"),
        put(Devices, "/api/v1/rooms/{id}/night/rest", night::rest).says(
            "Die laufende oder nächste Nacht in einem Raum auslassen, oder doch nicht",
            "Leave out the night that runs or comes next in a room, or not",
        ),
        delete(Devices, "/api/v1/rooms/{id}", write::delete_room)
            .says("Einen leeren Raum löschen", "Delete an empty room"),
        delete(Devices, "/api/v1/images/{id}", write::delete_image)
            .says("Ein Image löschen", "Delete an image"),
        post(School, "/api/v1/networks", write::create_network)
            .says("Ein Netz anlegen", "Add a network")
            .creates::<Network>(),
        put(School, "/api/v1/networks/{id}", write::put_network)
            .says("Ein Netz ändern", "Change a network")
            .gives::<Network>(),
        delete(School, "/api/v1/networks/{id}", write::delete_network)
            .says("Ein Netz löschen", "Delete a network"),
    ]
}

/// Files of people and devices; the body is the file itself.
fn import_api() -> Vec<Route> {
    let people = [
        get(People, "/api/v1/imports/people", imports::people::list),
        post(People, "/api/v1/imports/people", imports::people::upload),
        get(People, "/api/v1/imports/people/{id}", imports::people::show),
        post(People, "/api/v1/imports/people/{id}/apply", imports::people::apply),
        post(People, "/api/v1/imports/people/{id}/undo", imports::people::undo),
    ];
    let devices = [
        get(Devices, "/api/v1/imports/devices", imports::devices::list),
        post(Devices, "/api/v1/imports/devices", imports::devices::upload),
        get(Devices, "/api/v1/imports/devices/{id}", imports::devices::show),
        post(Devices, "/api/v1/imports/devices/{id}/apply", imports::devices::apply),
        post(Devices, "/api/v1/imports/devices/{id}/undo", imports::devices::undo),
    ];
    let described = |[list, upload, show, apply, undo]: [Route; 5]| {
        [
            list.says("Frühere Importe", "Earlier imports").gives::<List<Import>>(),
            upload
                .with_file()
                .says("Eine Datei planen lassen", "Have a file planned")
                .asks(&["name", "complete", "role", "room"])
                .creates::<Value>(),
            show.says("Ein Plan oder Import", "A plan or import").gives::<Value>(),
            apply.says("Einen Plan ausführen", "Carry a plan out").gives::<Value>(),
            undo.says("Einen Import zurücknehmen", "Take an import back").gives::<Undone>(),
        ]
    };
    described(people).into_iter().chain(described(devices)).collect()
}

fn ipad_api() -> Vec<Route> {
    vec![
        get(Devices, "/api/v1/ipads", ipads::list)
            .says("iPads, die die Schule verwaltet", "iPads that the school manages")
            .gives::<List<Enrolment>>(),
        post(Devices, "/api/v1/ipads/actions", ipads::ask_all)
            .says("Etwas Harmloses von mehreren iPads verlangen", "Ask something harmless of several iPads")
            .gives::<ipads::AskedOfJson>(),
        get(Devices, "/api/v1/ipads/{id}", ipads::show)
            .says("Ein iPad mit Auskunft und Befehlen", "An iPad with its facts and commands")
            .gives::<ipads::IpadJson>(),
        post(Devices, "/api/v1/ipads/{id}/actions", ipads::ask)
            .says("Etwas Harmloses von einem iPad verlangen", "Ask something harmless of an iPad")
            .gives::<ipads::AskedJson>(),
        post(Devices, "/api/v1/ipads/{id}/drastic-actions", ipads::insist)
            .fresh()
            .says(
                "Löschen, als verloren melden, Gerätecode entfernen",
                "Erase, report as lost, remove the passcode",
            )
            .gives::<ipads::AskedJson>(),
        get(Devices, "/api/v1/ipads/{id}/rules", ipad_rules::holding)
            .says("Was für ein iPad gilt und warum", "What holds for an iPad, and why")
            .asks(&["during"])
            .gives::<Value>(),
        get(School, "/api/v1/ipad-rules", ipad_rules::list)
            .says("Regeln für iPads", "Rules for iPads")
            .gives::<List<RuleShown>>(),
        post(School, "/api/v1/ipad-rules", ipad_rules::create)
            .says("Eine Regel anlegen", "Make a rule")
            .creates::<RuleShown>(),
        get(School, "/api/v1/ipad-rules/{id}", ipad_rules::show)
            .says("Eine Regel", "A rule")
            .gives::<RuleShown>(),
        put(School, "/api/v1/ipad-rules/{id}", ipad_rules::save)
            .says("Eine Regel ändern", "Change a rule")
            .gives::<RuleShown>(),
        delete(School, "/api/v1/ipad-rules/{id}", ipad_rules::delete)
            .says("Eine Regel löschen", "Delete a rule"),
        get(School, "/api/v1/ipad-restrictions", ipad_rules::catalogue)
            .says("Apples Liste der Einschränkungen", "Apple's list of restrictions")
            .gives::<Value>(),
        get(Devices, "/api/v1/invitations", ipads::invitations)
            .says("Einladungen, die gelten", "Invitations that hold")
            .gives::<List<Invitation>>(),
        post(Devices, "/api/v1/invitations", ipads::invite)
            .says(
                "Eine Einladung anlegen; der Link wird einmal gezeigt",
                "Make an invitation; its link is shown once",
            )
            .creates::<ipads::InvitedJson>(),
        delete(Devices, "/api/v1/invitations/{id}", ipads::uninvite)
            .says("Eine Einladung zurücknehmen", "Take an invitation back"),
    ]
}

fn app_api() -> Vec<Route> {
    vec![
        get(Devices, "/api/v1/apps", apps::list)
            .says("Apps der Schule mit ihren Lizenzen", "The school's apps with their licences")
            .gives::<List<App>>(),
        get(Devices, "/api/v1/apps/{id}", apps::show)
            .says("Eine App: wer sie bekommt, wer Lizenzen hat", "An app: who gets it, who has licences")
            .gives::<apps::AppJson>(),
        post(Devices, "/api/v1/apps/{id}/assignments", apps::give)
            .says(
                "Sagen, dass Schule, Raum, Klasse oder iPad eine App bekommt",
                "Say that school, room, class or iPad gets an app",
            )
            .creates::<apps::GivenJson>(),
        delete(Devices, "/api/v1/app-assignments/{id}", apps::take_back)
            .says("Zurücknehmen, dass jemand eine App bekommt", "Take back that somebody gets an app"),
        put(Devices, "/api/v1/apps/{id}/configuration", apps::configure).says(
            "Setzen, was eine App als Konfiguration vorfindet",
            "Set what an app finds as its configuration",
        ),
        post(School, "/api/v1/apps/token", apps::import).fresh().says(
            "Das Inhaltstoken von Apps und Bücher einlesen",
            "Import the content token of Apps and Books",
        ),
        post(Devices, "/api/v1/apps/sync", apps::sync)
            .says("Jetzt mit Apple abgleichen", "Compare with Apple now"),
        post(School, "/api/v1/apps/take-over", apps::take_over).fresh().says(
            "Die Lizenzen von einem anderen Server übernehmen",
            "Take the licences over from another server",
        ),
    ]
}

fn apple_api() -> Vec<Route> {
    vec![
        get(School, "/api/v1/apple", apple::list)
            .says("Apples Dienste und ihr Zustand", "Apple's services and their state")
            .gives::<List<AppleService>>(),
        post(School, "/api/v1/apple/request", apple::ask)
            .fresh()
            .says("Einen Schlüssel anlegen; gibt, was zu Apple geht", "Make a key; gives what goes to Apple")
            .gives::<apple::RequestJson>(),
        post(School, "/api/v1/apple/import", apple::import)
            .fresh()
            .says("Zertifikat oder Token von Apple übernehmen", "Import a certificate or token of Apple's"),
        post(School, "/api/v1/apple/forget", apple::forget)
            .fresh()
            .says("Einen Dienst vergessen", "Forget a service"),
        put(School, "/api/v1/apple/settings", apple::set).says(
            "Was für iPads des Apple School Managers gilt",
            "What holds for iPads of Apple School Manager",
        ),
        get(School, "/api/v1/apple/devices", apple::devices)
            .says("iPads im Apple School Manager", "iPads in Apple School Manager")
            .gives::<List<AdeDevice>>(),
        post(School, "/api/v1/apple/devices", apple::place)
            .says("Sagen, wohin diese iPads gehören", "Say where these iPads belong")
            .gives::<apple::PlacedJson>(),
    ]
}

fn lesson_api() -> Vec<Route> {
    vec![
        put(School, "/api/v1/networks/{id}/gate", gate::guard_network).says(
            "Was in einem Netz zu gewöhnlichen Zeiten gilt",
            "What holds in a network at ordinary times",
        ),
        put(School, "/api/v1/rooms/{id}/gate", gate::set_room)
            .says("Was in einem Raum zu gewöhnlichen Zeiten gilt", "What holds in a room at ordinary times"),
        put(School, "/api/v1/groups/{id}/gate", groups::set_gate).says(
            "Was für eine Klasse zu gewöhnlichen Zeiten gilt",
            "What holds for a class at ordinary times",
        ),
        get(Lessons, "/api/v1/gate/rooms/{id}", gate::room)
            .says("Was in einem Raum gerade gilt", "What holds in a room at the moment")
            .gives::<Value>(),
        post(Lessons, "/api/v1/gate/rooms/{id}", gate::grant_room)
            .says("Internet eines Raums schalten", "Switch a room's internet")
            .gives::<Value>(),
        delete(Lessons, "/api/v1/gate/rooms/{id}", gate::end_room)
            .says("Zurück zum Normalzustand", "Back to normal"),
        get(Lessons, "/api/v1/gate/groups/{id}", gate::group)
            .says("Was für eine Klasse gerade gilt", "What holds for a class at the moment")
            .gives::<Value>(),
        post(Lessons, "/api/v1/gate/groups/{id}", gate::grant_group)
            .says("Internet einer Klasse schalten", "Switch a class's internet")
            .gives::<Value>(),
        delete(Lessons, "/api/v1/gate/groups/{id}", gate::end_group)
            .says("Zurück zum Normalzustand", "Back to normal"),
        get(Lessons, "/api/v1/gate/devices/{id}", gate::device)
            .says("Was für ein Gerät gerade gilt", "What holds for a device at the moment")
            .gives::<Value>(),
        post(Lessons, "/api/v1/gate/devices/{id}", gate::grant_device)
            .says("Internet eines Geräts schalten", "Switch a device's internet")
            .gives::<Value>(),
        delete(Lessons, "/api/v1/gate/devices/{id}", gate::end_device)
            .says("Zurück zum Normalzustand", "Back to normal"),
        put(Lessons, "/api/v1/devices/{id}/visit", gate::set_visit).says(
            "Ein Gerät gehört bis zum Ende der Stunde in einen anderen Raum",
            "A device belongs to another room until the end of the lesson",
        ),
        get(Lessons, "/api/v1/groups/{id}/pupils", groups::pupils)
            .says("Die Schüler einer eigenen Klasse", "The pupils of a class of one's own")
            .gives::<List<people::PersonJson>>(),
        post(Lessons, "/api/v1/groups/{id}/password", groups::reset_pupil)
            .says(
                "Einem Schüler der eigenen Klasse ein neues Kennwort geben",
                "Give a pupil of one's own class a new password",
            )
            .gives::<people::PasswordJson>(),
    ]
}

fn people_api() -> Vec<Route> {
    vec![
        post(Own, "/api/v1/session", session::begin)
            .public()
            .says("Anmelden; setzt das Cookie der Sitzung", "Sign in; sets the session's cookie")
            .gives::<Value>(),
        delete(Own, "/api/v1/session", session::end).for_all().says("Abmelden", "Sign out"),
        get(Own, "/api/v1/openapi.json", openapi::show)
            .public()
            .says("Diese Beschreibung", "This description")
            .gives::<Value>(),
        put(Own, "/api/v1/password", own::set_password)
            .for_all()
            .says("Das eigene Kennwort ändern", "Change one's own password"),
        post(Own, "/api/v1/second-factor", own::enrol)
            .for_all()
            .says("Einen zweiten Faktor beginnen", "Begin a second factor")
            .gives::<own::EnrolmentJson>(),
        put(Own, "/api/v1/second-factor", own::confirm)
            .for_all()
            .fresh()
            .says("Ihn mit dem ersten Code einrichten", "Set it up with its first code")
            .gives::<own::RecoveryJson>(),
        delete(Own, "/api/v1/second-factor", own::clear)
            .fresh()
            .says("Den eigenen zweiten Faktor abschalten", "Switch one's own second factor off"),
        get(People, "/api/v1/people", people::list)
            .says("Personen, höchstens 500 auf einmal", "People, at most 500 at once")
            .asks(&["q", "role", "group", "offset"])
            .gives::<people::PeopleJson>(),
        post(People, "/api/v1/people", people::create)
            .says("Eine Lehrkraft oder einen Schüler anlegen", "Add a teacher or a pupil")
            .creates::<people::AddedJson>(),
        get(People, "/api/v1/people/{id}", people::person)
            .says("Eine Person", "A person")
            .gives::<people::PersonJson>(),
        put(People, "/api/v1/people/{id}", people::rename)
            .says("Einen anderen Anmeldenamen geben", "Give another name to sign in with"),
        delete(People, "/api/v1/people/{id}", people::delete).says("Eine Person löschen", "Delete a person"),
        put(People, "/api/v1/people/{id}/role", people::set_role)
            .fresh()
            .says("Eine andere Rolle geben", "Give another role"),
        post(People, "/api/v1/people/{id}/password", people::reset)
            .fresh()
            .says("Ein neues Kennwort geben", "Give a new password")
            .gives::<people::PasswordJson>(),
        delete(People, "/api/v1/people/{id}/second-factor", people::clear_second_factor)
            .fresh()
            .says("Den zweiten Faktor einer Person abschalten", "Switch a person's second factor off"),
        get(People, "/api/v1/groups", groups::list)
            .says("Alle Klassen und Gruppen", "All classes and groups")
            .gives::<List<Group>>(),
        post(People, "/api/v1/groups", groups::create)
            .says("Eine Klasse anlegen", "Add a class")
            .creates::<Group>(),
        get(People, "/api/v1/groups/{id}", groups::group)
            .says("Eine Klasse mit Personen und Geräten", "A class with its people and devices")
            .gives::<groups::GroupJson>(),
        put(People, "/api/v1/groups/{id}", groups::rename).says("Eine Klasse umbenennen", "Rename a class"),
        delete(People, "/api/v1/groups/{id}", groups::delete).says(
            "Eine Klasse löschen; Personen und Geräte bleiben",
            "Delete a class; its people and devices stay",
        ),
        post(People, "/api/v1/groups/{id}/members", groups::add_members)
            .says("Personen und Geräte in eine Klasse aufnehmen", "Put people and devices into a class"),
        delete(People, "/api/v1/groups/{id}/members", groups::remove_members)
            .says("Personen und Geräte aus einer Klasse nehmen", "Take people and devices out of a class"),
        get(Devices, "/api/v1/faults", faults::list)
            .says("Alle gemeldeten Störungen", "All faults that were reported")
            .gives::<Vec<inventory::Fault>>(),
        post(Lessons, "/api/v1/faults", faults::report)
            .says("Eine Störung melden", "Report a fault")
            .creates::<faults::Reported>(),
        put(Devices, "/api/v1/faults/{id}", faults::answer).says(
            "Eine Störung übernehmen, schließen oder wieder öffnen",
            "Take, close or open a fault again",
        ),
        get(School, "/api/v1/backups", backups::read)
            .says("Gesicherte Stände, und was beim Sichern geschah", "Backups, and what became of them")
            .gives::<crate::backups::Backups>(),
        post(School, "/api/v1/backups", backups::ask)
            .says("Jetzt sichern, oder das Zurückholen proben", "Back up now, or try to bring one back")
            .creates::<backups::Asked>(),
        get(School, "/api/v1/backups/{id}", backups::preview)
            .says(
                "Was ein gesicherter Stand enthält und seitdem geändert wurde",
                "What a backup holds and what was changed since",
            )
            .gives::<crate::backups::Preview>(),
        post(School, "/api/v1/backups/{id}/restore", backups::restore)
            .fresh()
            .says("Den Server auf einen gesicherten Stand zurückbringen", "Bring the server back to a backup")
            .creates::<backups::Asked>(),
        get(School, "/api/v1/mail", mail::read)
            .says("Wie E-Mail gesendet wird", "How e-mail is sent")
            .gives::<Option<crate::mail::Mail>>(),
        put(School, "/api/v1/mail", mail::save)
            .fresh()
            .says("Festlegen, wie E-Mail gesendet wird", "Set how e-mail is sent"),
        post(School, "/api/v1/mail/test", mail::test)
            .says("Eine Testnachricht an alle Empfänger senden", "Send a test message to all recipients"),
        get(School, "/api/v1/tokens", tokens::list)
            .says("Alle API-Tokens", "All API tokens")
            .gives::<List<Token>>(),
        post(School, "/api/v1/tokens", tokens::create)
            .fresh()
            .says("Ein Token anlegen; es wird einmal gezeigt", "Make a token; it is shown once")
            .creates::<tokens::TokenJson>(),
        delete(School, "/api/v1/tokens/{id}", tokens::delete)
            .says("Ein Token sofort beenden", "End a token at once"),
    ]
}

fn rules_api() -> Vec<Route> {
    vec![
        get(School, "/api/v1/rules", rules::all)
            .says(
                "Regeln mit einer Zeit, die gelten oder gelten werden",
                "Rules with a time that hold or will",
            )
            .gives::<List<Rule>>(),
        post(School, "/api/v1/rules", rules::lock)
            .says("Ein Gerät oder eine Person sperren", "Lock a device or a person")
            .creates::<Value>(),
        delete(School, "/api/v1/rules/{id}", rules::end).says("Eine Regel beenden", "End a rule"),
        get(School, "/api/v1/timetable", rules::timetable)
            .says("Der Zeitplan", "The timetable")
            .gives::<List<Slot>>(),
        post(School, "/api/v1/timetable", rules::add_slot)
            .says("Den Zeitplan ergänzen", "Add to the timetable")
            .creates::<Value>(),
        delete(School, "/api/v1/timetable/{id}", rules::delete_slot)
            .says("Etwas aus dem Zeitplan nehmen", "Take something out of the timetable"),
        get(School, "/api/v1/lists", rules::lists)
            .says("Alle Namenslisten", "All lists of names")
            .gives::<List<NameList>>(),
        put(School, "/api/v1/lists/{id}", rules::put_list)
            .with_long_body()
            .says("Eine Namensliste anlegen oder ersetzen", "Add or replace a list of names"),
        delete(School, "/api/v1/lists/{id}", rules::delete_list)
            .says("Eine Namensliste löschen", "Delete a list of names"),
        get(School, "/api/v1/filters", rules::filters)
            .says("Alle Filter", "All filters")
            .gives::<List<Filter>>(),
        put(School, "/api/v1/filters/{id}", rules::put_filter)
            .says("Einen Filter anlegen oder ersetzen", "Add or replace a filter"),
        delete(School, "/api/v1/filters/{id}", rules::delete_filter)
            .says("Einen Filter löschen", "Delete a filter"),
        get(School, "/api/v1/lesson-times", rules::grid)
            .says("Das Stundenraster", "The lesson times")
            .gives::<Grid>(),
        put(School, "/api/v1/lesson-times", rules::set_grid)
            .says("Das Stundenraster ersetzen", "Replace the lesson times"),
        get(Lessons, "/api/v1/exams", exam::all)
            .says("Die neuesten Klausuren", "The newest exams")
            .gives::<List<Exam>>(),
        post(Lessons, "/api/v1/exams", exam::begin)
            .says("Eine Klausur beginnen", "Begin an exam")
            .creates::<Value>(),
        get(Lessons, "/api/v1/exams/{id}", exam::one)
            .says("Eine Klausur mit ihrem Protokoll", "An exam with its protocol")
            .gives::<Value>(),
        put(Lessons, "/api/v1/exams/{id}", exam::prolong)
            .says("Das Ende einer Klausur verschieben", "Move an exam's end"),
        delete(Lessons, "/api/v1/exams/{id}", exam::end).says("Eine Klausur beenden", "End an exam"),
    ]
}

/// Programs of PCs. What is installed runs with all rights on every PC, so only the school's admins add to the catalogue.
fn software_api() -> Vec<Route> {
    vec![
        get(Devices, "/api/v1/software", software::list)
            .says("Alle Programme", "All programs")
            .gives::<List<software::ProgramJson>>(),
        get(Devices, "/api/v1/software/{id}", software::show)
            .says("Ein Programm und wie PCs dazu stehen", "A program and how PCs stand to it")
            .gives::<software::ProgramDetail>(),
        get(Devices, "/api/v1/devices/{id}/software", software::on_device)
            .says("Die Programme eines PCs", "The programs of a PC")
            .gives::<List<software::OnDeviceJson>>(),
        post(School, "/api/v1/software-files", software::upload)
            .with_large_file()
            .says(
                "Eine Installationsdatei hochladen; der Inhalt ist die Datei",
                "Upload an installer; the body is the file",
            )
            .asks(&["name"])
            .creates::<software::FileJson>(),
        post(School, "/api/v1/software", software::add)
            .fresh()
            .says("Eine Version eines Programms aufnehmen", "Add a version of a program")
            .creates::<software::AddedJson>(),
        delete(School, "/api/v1/software/{id}", software::remove)
            .says("Eine Version löschen", "Delete a version"),
        post(Devices, "/api/v1/software/{id}/wishes", software::wish)
            .says("Ein Programm PCs zuweisen", "Assign a program to PCs")
            .creates::<software::WishedJson>(),
        delete(Devices, "/api/v1/software-wishes/{id}", software::unwish)
            .says("Eine Zuweisung zurücknehmen", "Take an assignment back"),
        post(Devices, "/api/v1/software/{id}/retry", software::retry)
            .says("Noch einmal versuchen lassen", "Have it tried again"),
    ]
}
