//! Every text of the pages, in both languages side by side: a text without its translation does not compile.
//!
//! Texts with something inside are functions in `sentences`; a `match` over the language keeps those complete.

mod sentences;

use crate::lang::Lang;

macro_rules! texts {
    ($($(#[$doc:meta])* $key:ident: $de:literal, $en:literal;)*) => {
        /// The texts of one language.
        pub(crate) struct Texts {
            lang: Lang,
            $($(#[$doc])* pub(crate) $key: &'static str,)*
        }

        static DE: Texts = Texts { lang: Lang::De, $($key: $de,)* };
        static EN: Texts = Texts { lang: Lang::En, $($key: $en,)* };

        /// Both forms of every text, for the tests.
        #[cfg(test)]
        pub(crate) const PAIRS: &[(&str, &str)] = &[$(($de, $en),)*];
    };
}

texts! {
    // Frame.
    skip: "Zum Inhalt", "Skip to content";
    menu: "Menü", "Menu";
    sign_in: "Anmelden", "Sign in";
    sign_out: "Abmelden", "Sign out";
    stale: "Die Seite hat sich inzwischen geändert.", "The page has changed meanwhile.";
    reload: "Neu laden", "Reload";
    to_overview: "Zur Übersicht", "To the overview";
    back: "Zurück", "Back";
    save: "Speichern", "Save";
    add: "Anlegen", "Add";
    delete: "Löschen", "Delete";
    delete_confirm: "Endgültig löschen", "Delete for good";
    clear: "Aufheben", "Clear";
    show: "Anzeigen", "Show";
    not_saved: "Nichts gespeichert: Bitte die markierten Felder berichtigen.", "Nothing saved: please mend the marked fields.";

    // Menu and headings.
    overview: "Übersicht", "Overview";
    waiting_list: "Warteliste", "Waiting list";
    devices: "Geräte", "Devices";
    rooms: "Räume", "Rooms";
    images: "Images", "Images";
    jobs: "Aufträge", "Jobs";
    networks: "Netze", "Networks";
    changes: "Verlauf", "History";

    // Lessons.
    my_room: "Mein Raum", "My room";
    my_classes: "Meine Klassen", "My classes";
    lessons: "Unterricht", "Lessons";
    classes: "Klassen", "Classes";
    status: "Status", "Status";
    internet: "Internet", "Internet";
    level_on: "An", "On";
    level_filtered: "Gefiltert", "Filtered";
    level_allow_list: "Nur Freigabeliste", "Allow list only";
    level_off: "Aus", "Off";
    level_unknown: "unbekannt", "unknown";
    level_pending: "wird umgestellt\u{a0}…", "changing\u{a0}…";
    how_long: "Wie lange?", "For how long?";
    minutes_short: "Min.", "min";
    whole_day: "ganzer Tag", "whole day";
    back_to_normal: "Zurück zum Normalzustand", "Back to normal";
    seats: "Plätze", "Seats";
    no_seats: "Hier gibt es noch keine Geräte.", "There are no devices here yet.";
    lock: "Sperren", "Lock";
    unlock: "Freigeben", "Unlock";
    take_back: "Ausnahme aufheben", "Take exception back";
    takes_over: "Eine Änderung hier löst das ab.", "A change here takes over.";
    is_staff: "Lehrkraft: von Raum und Klasse unberührt", "Staff: untouched by room and class";
    room_unknown: "Dieses Gerät ist keinem Raum zugeordnet. Welcher Raum ist es?", "This device belongs to no room. Which room is it?";
    guest_add: "Gehört gerade zu mir", "Belongs to me now";
    guest_hint: "Ein Gerät aus einem anderen Raum oder Wagen gehört bis zum Ende der Stunde hierher.", "A device of another room or cart belongs here until the end of the lesson.";
    guest_take: "Dazuholen", "Take in";
    send_home: "Zurückgeben", "Give back";
    list_for_allow: "Freigabeliste", "Allow list";
    no_classes: "Ihnen ist noch keine Klasse zugeordnet. Die Schuladministration kann das tun.", "No class is assigned to you yet. The school's admin can do that.";
    other_rooms: "Andere Räume", "Other rooms";
    other_classes: "Andere Klassen", "Other classes";
    said_ended: "Es gilt wieder der Normalzustand.", "Back to normal.";
    not_guarded: "Hausmeister regelt das Internet hier nicht", "Hausmeister does not rule the internet here";
    guard_hint: "Nur wenn dieser Server das Gateway des Netzes ist: was dort gilt, solange Raum, Klasse oder Lehrkraft nichts anderes sagen.", "Only if this server is the network's gateway: what holds there while room, class or teacher say nothing else.";
    ordinary_times: "Zu gewöhnlichen Zeiten", "At ordinary times";
    nat: "Adressen des Netzes hinter der des Servers verbergen (NAT)", "Hide the network's addresses behind the server's (NAT)";
    room_says: "Vorgabe des Raums", "What the room says";
    room_says_nothing: "keine: was Klasse oder Netz sagen", "nothing: what class or network say";
    who_controls: "Wer darf hier schalten?", "Who may switch here?";
    control_nobody: "Niemand", "Nobody";
    control_inside: "Lehrkräfte, die im Raum sind", "Teachers who are in the room";
    control_teachers: "Alle Lehrkräfte", "All teachers";
    control_admins: "Nur die Schuladministration", "Admins only";
    have_i_internet: "Habe ich Internet?", "Do I have internet?";
    ask_examiner: "Ändern kann das, wer die Klausur begonnen hat.", "Whoever began the exam can change this.";
    ask_teacher: "Ändern kann das die Lehrkraft, die gerade unterrichtet.", "The teacher of the lesson can change this.";
    ask_admin: "Ändern kann das die Schuladministration.", "The school's admin can change this.";
    device_unknown: "Dieses Gerät ist der Schule nicht bekannt: Es darf, was im Netz für Unbekannte gilt. Die Schuladministration kann es aufnehmen.", "The school does not know this device: it may do what the network lets strangers do. The school's admin can add it.";

    // iPads.
    ipads: "iPads", "iPads";
    apple: "Apple-Dienste", "Apple services";
    apple_intro: "Was die Schule von Apple braucht, damit iPads sich melden, sich von selbst aufnehmen und Apps bekommen. Alles gilt ein Jahr; 60 Tage vorher steht ein Hinweis auf der Übersicht.", "What the school needs from Apple so that iPads answer, enrol by themselves and get apps. Everything holds for a year; 60 days before there is a notice on the overview.";
    apple_until: "bis", "until";
    apple_checked: "zuletzt gefragt", "last asked";
    apple_nothing: "Noch nichts hinterlegt.", "Nothing is kept yet.";
    apple_not_imported: "wartet auf Apple", "waits for Apple";
    apple_over: "abgelaufen", "ended";
    apple_problem: "gestört", "not working";
    apple_soon: "läuft bald ab", "ends soon";
    apple_good: "in Ordnung", "in order";
    apple_push: "Push-Zertifikat", "Push certificate";
    apple_push_hint: "Damit weckt der Server die iPads. Anfrage erzeugen, bei identity.apple.com/pushcert hochladen, das Zertifikat herunterladen und hier einfügen. Jedes Jahr mit demselben Apple-Konto erneuern: Mit einem anderen müsste jedes iPad neu aufgenommen werden.", "The server wakes the iPads with it. Make a request, upload it at identity.apple.com/pushcert, download the certificate and paste it here. Renew it every year with the same Apple account: with another one every iPad would have to enrol again.";
    apple_push_ask: "Neue Anfrage erzeugen", "Make a new request";
    apple_push_signed: "Die Anfrage ist unterschrieben; Apples Seite nimmt sie so an.", "The request is signed; Apple's page takes it as it is.";
    apple_push_unsigned: "Apples Seite nimmt nur Anfragen an, die ein Hersteller von Verwaltungssoftware unterschrieben hat. Diese an einen solchen Dienst geben (etwa mdmcert.download), oder ein eigenes Herstellerzertifikat in [mdm] nennen (vendor_certificate, vendor_key).", "Apple's page takes only requests that a vendor of management software signed. Give this one to such a service (mdmcert.download for example), or name a vendor certificate of your own in [mdm] (vendor_certificate, vendor_key).";
    apple_push_content: "Zertifikat von Apple (PEM, auch mit Schlüssel; PKCS#12 als Base64)", "Certificate from Apple (PEM, also with its key; PKCS#12 as base64)";
    apple_file_password: "Passwort der PKCS#12-Datei, falls es eine ist", "Password of the PKCS#12 file, if it is one";
    apple_insist: "Auch mit anderem Topic übernehmen. Jedes iPad muss dann neu aufgenommen werden.", "Import it even with another topic. Every iPad has to enrol again then.";
    apple_import: "Übernehmen", "Import";
    apple_download_request: "Anfrage herunterladen", "Download the request";
    apple_ade: "Automatische Aufnahme (Apple School Manager)", "Automated enrolment (Apple School Manager)";
    apple_ade_hint: "iPads, die im Apple School Manager diesem Server zugewiesen sind, bekommen von selbst das Profil der Schule und nehmen sich beim Einrichten auf. Schlüssel erzeugen, im Apple School Manager beim MDM-Server hochladen, den Token (.p7m) herunterladen und hier einfügen.", "iPads that Apple School Manager assigns to this server get the school's profile by themselves and enrol when they are set up. Make a key, upload it at the MDM server in Apple School Manager, download the token (.p7m) and paste it here.";
    apple_ade_ask: "Neuen Schlüssel erzeugen", "Make a new key";
    apple_download_key: "Öffentlichen Schlüssel herunterladen", "Download the public key";
    apple_ade_content: "Inhalt des Server-Tokens (.p7m)", "Content of the server token (.p7m)";
    apple_apps: "Apps und Bücher", "Apps and Books";
    apple_asked: "Der Schlüssel ist angelegt. Jetzt herunterladen, was zu Apple geht.", "The key is made. Now download what goes to Apple.";
    apple_imported: "Übernommen; es gilt ab sofort.", "Imported; it is in force from now on.";
    apple_forgotten: "Vergessen.", "Forgotten.";
    apple_saved: "Gespeichert.", "Saved.";
    apple_save: "Speichern und neu abfragen", "Save and ask again";
    ade_standard_room: "Raum für iPads, denen noch keiner zugewiesen ist", "Room for iPads that were given none yet";
    ade_minimum_os: "Ältestes iPadOS (leer: jedes); ältere werden vorher aktualisiert", "Oldest iPadOS (empty: any); older ones are updated first";
    ade_devices: "iPads im Apple School Manager", "iPads in Apple School Manager";
    ade_asked: "Wollte sich aufnehmen", "Wanted to enrol";
    ade_place: "Gewählte diesem Raum zuweisen", "Assign the chosen ones to this room";
    ade_not_listed: "nicht in der Liste: im Apple School Manager diesem Server zuweisen", "not listed: assign it to this server in Apple School Manager";
    ade_no_profile: "Apple gibt ihm das Profil nicht", "Apple does not give it the profile";
    ade_pushed: "hat das Profil abgeholt", "fetched the profile";
    ade_assigned: "bekommt das Profil", "gets the profile";
    ade_waiting: "wartet auf das Profil", "waits for the profile";
    ipads_intro: "iPads, die von dieser Schule verwaltet werden. Was hier verlangt wird, erledigen sie, sobald sie erreichbar sind.", "iPads that this school manages. They do what is asked here as soon as they can be reached.";
    ipad_rules: "Regeln für iPads", "Rules for iPads";
    ipad_rules_intro: "Was iPads dürfen und haben. Mehrere Regeln verschmelzen auf jedem iPad zu einer: Das Genauere geht vor (Schule, Raum, Klasse, Gerät, Zeit, Klausur), unter Gleichen das Strengere.", "What iPads may do and have. Several rules merge into one on each iPad: the more specific wins (school, room, class, device, time, exam), among equals the stricter.";
    ipad_rules_none: "Noch keine Regel. Die erste sollte für die ganze Schule gelten und „Schul-iPad“ enthalten.", "No rule yet. The first one should be for the whole school and contain \"School iPad\".";
    rule: "Regel", "Rule";
    rule_new: "Neue Regel", "New rule";
    rule_saved: "Gespeichert. iPads, für die sich etwas ändert, erfahren es jetzt.", "Saved. iPads for which something changes are being told now.";
    rule_unset: "nichts sagen", "say nothing";
    rule_left_out: "gilt nicht", "does not apply";
    rule_others: "Außerdem enthält diese Regel, was nur über die Schnittstelle (API) geändert wird:", "This rule also contains what is changed by the API only:";
    for_whom: "Für wen", "For whom";
    at_what_time: "Wann", "When";
    what_it_says: "Was", "What";
    changed_last: "Geändert", "Changed";
    whole_school: "Ganze Schule", "Whole school";
    a_class: "Klasse", "Class";
    a_device: "Gerät", "Device";
    by_time: "Zeitregel", "Rule by time";
    an_exam: "Klausur", "Exam";
    when_always: "immer", "always";
    when_lessons: "in Stunden", "in lessons";
    when_school_hours: "in der Schulzeit", "in school hours";
    when_at_school: "in der Schulzeit, im Schulnetz", "in school hours, in the school's network";
    when_hint: "Stunden stehen unter Stundenraster. Was nur zu Zeiten gilt, geht dem vor, was immer gilt.", "Lessons are entered under Lessons. What holds at times wins over what always holds.";
    preset_school_ipad: "Schul-iPad", "School iPad";
    preset_school_ipad_hint: "Kein VPN und kein Private Relay, nicht aus der Verwaltung oder aus Classroom heraus, keine Apps von anderswo. Nur auf betreuten iPads vollständig.", "No VPN and no Private Relay, no way out of the management or of Classroom, no apps from elsewhere. Complete on supervised iPads only.";
    restrictions: "Einschränkungen", "Restrictions";
    restrictions_hint: "Aus Apples eigener Liste. Was hier nichts sagt, überlässt es anderen Regeln oder dem iPad.", "From Apple's own list. What says nothing here leaves it to other rules or to the iPad.";
    network_and_web: "Netz und Web", "Network and web";
    screen_and_system: "Bildschirm und System", "Screen and system";
    wifi_name: "WLAN: Name (SSID)", "Wi-Fi: name (SSID)";
    wifi_password: "WLAN: Kennwort", "Wi-Fi: password";
    wifi_password_hint: "Leer lassen, um das gespeicherte zu behalten.", "Leave empty to keep the one that is stored.";
    wifi_hidden: "WLAN ist unsichtbar", "Wi-Fi is hidden";
    wifi_open: "WLAN ist offen (ohne Kennwort)", "Wi-Fi is open (no password)";
    dns_server: "Verschlüsseltes DNS (https-Adresse oder Name)", "Encrypted DNS (https address or name)";
    printers: "Drucker, einer je Zeile: Adresse | Pfad", "Printers, one on a line: address | path";
    web_filter: "Apples Web-Filter für Kinder", "Apple's web filter for children";
    web_denied: "Gesperrte Adressen, eine je Zeile", "Blocked addresses, one on a line";
    web_permitted: "Ausnahmen des Filters, eine je Zeile", "Exceptions of the filter, one on a line";
    web_only: "Nur diese Seiten, eine je Zeile: Titel | Adresse", "Only these pages, one on a line: title | address";
    web_clips: "Web-Lesezeichen, eines je Zeile: Titel | Adresse", "Web clips, one on a line: title | address";
    home_dock: "Dock, eine App (Bundle-ID) je Zeile", "Dock, one app (bundle id) on a line";
    home_pages: "Home-Bildschirm, eine App je Zeile; eine Leerzeile beginnt die nächste Seite", "Home screen, one app on a line; an empty line begins the next page";
    lock_screen_note: "Text auf dem Sperrbildschirm", "Text on the lock screen";
    passcode_length: "Code verlangt: Länge mindestens", "Passcode demanded: at least that long";
    update_version: "iPadOS mindestens", "iPadOS at least";
    update_deadline: "spätestens am (Ortszeit des iPads)", "by (the iPad's local time)";
    preview: "Vorschau", "Preview";
    preview_hint: "Zeigt, was auf einem iPad gelten würde, ohne zu speichern.", "Shows what would hold on an iPad, without saving.";
    during_now: "jetzt", "now";
    during_lesson: "in einer Stunde", "in a lesson";
    during_leisure: "außerhalb der Schulzeit", "outside school hours";
    what_holds: "Was gilt", "What holds";
    what_holds_intro: "Die eine Regel dieses iPads, aus allen verschmolzen, mit jedem Widerspruch und wer ihn gewonnen hat.", "The one rule of this iPad, merged from all, with every conflict and who won it.";
    what_it_is_about: "Worum es geht", "What it is about";
    why_so: "Warum", "Why";
    who_said: "Wer sagt was", "Who says what";
    conflicts: "Widersprüche und Ausnahmen", "Conflicts and exceptions";
    agreed: "Einig", "Agreed";
    nothing_holds: "Keine Regel trifft dieses iPad.", "No rule is about this iPad.";
    unsupervised_hint: "Dieses iPad hat noch nicht gesagt, dass es betreut ist. Was Betreuung braucht, bekommt es bis dahin nicht.", "This iPad has not said yet that it is supervised. Until then it does not get what needs supervision.";
    switch_allowed: "erlaubt", "allowed";
    switch_forbidden: "gesperrt", "forbidden";
    switch_demanded: "verlangt", "demanded";
    switch_free: "nicht verlangt", "not demanded";
    why_agreed: "einig", "agreed";
    why_more_specific: "das Genauere geht vor", "the more specific wins";
    why_stricter: "das Strengere gilt", "the stricter counts";
    why_intersection: "nur was alle erlauben", "only what all permit";
    why_nothing_in_common: "nichts gemeinsam: das iPad zeigt keine App", "nothing in common: the iPad shows no app";
    why_union: "alles, was jemand sperrt", "everything that anybody blocks";
    why_combined: "beides zusammen", "both together";
    why_arbitrary: "Widerspruch unter Gleichen: bitte entscheiden", "conflict among equals: please decide";
    needs_supervision: "nur auf betreuten iPads", "on supervised iPads only";
    not_on_shared: "nicht auf geteilten iPads", "not on Shared iPads";
    enrolment_is_no_rule: "die Verwaltung selbst ist keine Regel", "the management itself is no rule";
    exam_apps: "iPads: nur diese Apps (Bundle-IDs, eine je Zeile)", "iPads: only these apps (bundle ids, one on a line)";
    apps_in_exam: "Apps auf iPads", "Apps on iPads";
    exam_apps_hint: "Eine App füllt den Bildschirm, mehrere sind alles, was sich öffnen lässt. Leer: iPads bleiben, wie sie sind. Nach dem Ende geht die Sperre von selbst auf.", "One app fills the screen, several are all that opens. Empty: iPads stay as they are. The lock opens by itself when the exam ends.";
    ipads_none: "Noch verwaltet diese Schule kein iPad. Unten eine Einladung anlegen und ihren QR-Code mit der Kamera des iPads öffnen.", "This school manages no iPad yet. Make an invitation below and open its QR code with the iPad's camera.";
    ipads_off: "Dieser Server verwaltet keine iPads: In der Konfiguration fehlt mdm_url im Abschnitt [site], die Adresse, unter der iPads ihn erreichen.", "This server manages no iPads: the configuration lacks mdm_url in the section [site], the address where iPads reach it.";
    serial_number: "Seriennummer", "Serial number";
    open_commands: "Offene Befehle", "Open commands";
    ipad_enrolled: "verwaltet", "managed";
    ipad_arriving: "meldet sich an", "is enrolling";
    ipad_left: "nicht mehr verwaltet", "no longer managed";
    ipad_awaiting: "wartet im Einrichtungsassistenten", "waits in the setup assistant";
    invitations: "Einladungen", "Invitations";
    invitation: "Einladung", "Invitation";
    invite: "Einladung anlegen", "Make an invitation";
    invite_hint: "Wer den Link oder QR-Code öffnet, meldet dieses iPad bei der Schule an. Er wird nur einmal gezeigt.", "Whoever opens the link or QR code enrols that iPad with the school. It is shown only once.";
    invite_shown: "Mit der Kamera des iPads öffnen, oder den Link in Safari eingeben. Danach unter Einstellungen das geladene Profil installieren.", "Open it with the iPad's camera, or type the link into Safari. Then install the loaded profile in Settings.";
    invite_room: "Raum der iPads", "Room of the iPads";
    invite_class: "Klasse der iPads", "Class of the iPads";
    invite_uses: "Für wie viele iPads?", "For how many iPads?";
    invite_days: "Gültig (Tage)", "Valid (days)";
    uses_left: "Noch frei", "Still free";
    facts: "Auskunft", "Facts";
    commands: "Befehle", "Commands";
    commands_none: "Noch wurde nichts verlangt.", "Nothing was asked yet.";
    command: "Befehl", "Command";
    asked_by: "Von", "By";
    asked_at: "Verlangt", "Asked";
    ask_refresh: "Auskunft holen", "Ask for facts";
    ask_restart: "Neu starten", "Restart";
    ask_shut_down: "Ausschalten", "Switch off";
    ask_lock: "Bildschirm sperren", "Lock the screen";
    ask_lost_off: "Modus „Verloren“ beenden", "End lost mode";
    ask_lost_sound: "Ton abspielen", "Play a sound";
    ask_clear_passcode: "Gerätecode entfernen", "Remove the passcode";
    ask_lost: "Als verloren melden", "Report as lost";
    ask_erase: "Löschen", "Erase";
    ask_erase_warning: "Löschen entfernt alle Daten, auch die der Person, die das iPad benutzt.", "Erasing removes all data, also that of the person who uses the iPad.";
    message_on_screen: "Text auf dem Bildschirm", "Text on the screen";
    phone_number: "Rufnummer", "Phone number";
    reason: "Grund", "Reason";
    reason_hint: "Bleibt mit dem Namen im Verlauf stehen.", "Stays in the history, with your name.";
    call_off: "Zurücknehmen", "Call off";
    with_reason: "Mit Grund", "With a reason";
    state_asked: "verlangt", "asked";
    state_queued: "wartet auf das iPad", "waits for the iPad";
    state_sent: "ist beim iPad", "is with the iPad";
    state_not_now: "iPad ist beschäftigt", "the iPad is busy";
    state_done: "erledigt", "done";
    command_failed: "gescheitert", "failed";
    state_expired: "zu spät", "too late";
    state_superseded: "ersetzt", "replaced";
    state_cancelled: "zurückgenommen", "taken back";
    apps_installed: "Installierte Apps", "Installed apps";
    profiles_installed: "Installierte Profile", "Installed profiles";
    certificate_until: "Zertifikat gültig bis", "Certificate valid until";
    battery: "Batterie", "Battery";
    free_space: "Freier Speicher", "Free space";
    supervised: "Betreut", "Supervised";
    passcode: "Gerätecode", "Passcode";

    // Rules.
    rules: "Internetregeln", "Internet rules";
    rules_order: "Es entscheidet das Erste, was etwas sagt: Klausur, Sperre, Lehrkraft, Zeitplan, Raum, Klasse, Netz.", "The first that says something decides: exam, lock, teacher, timetable, room, class, network.";
    rules_now: "Was gerade gilt", "What holds now";
    rules_none: "Nichts außer der Reihe.", "Nothing out of the ordinary.";
    about: "Für", "For";
    why: "Grund", "Why";
    until: "Bis", "Until";
    until_ended: "bis jemand es beendet", "until somebody ends it";
    until_optional: "Bis (leer: bis jemand es beendet)", "Until (empty: until somebody ends it)";
    end_it: "Beenden", "End it";
    lock_new: "Gerät oder Person sperren", "Lock a device or person";
    lock_hint: "Eine Sperre gilt vor allem, was Lehrkräfte für Raum oder Klasse setzen, bis zu ihrem Ende und auch über Nacht.", "A lock prevails over what teachers set for rooms and classes, until its end and also overnight.";
    device_or_person: "Name des Geräts oder der Person", "Name of the device or person";
    timetable: "Zeitplan", "Timetable";
    timetable_none: "Kein Zeitplan: Zu jeder Stunde gilt dasselbe.", "No timetable: every hour is alike.";
    timetable_new: "Zeitplan ergänzen", "Add to the timetable";
    weekdays_label: "Wochentage", "Weekdays";
    on_school_days: "nur an Schultagen", "only on school days";
    also_in_holidays: "auch in den Ferien", "in holidays, too";
    standing_none: "Noch kein Netz wird geregelt. Unter Netze lässt sich das einschalten.", "No network is ruled yet. This is switched on under Networks.";
    class: "Klasse", "Class";
    filter: "Filter", "Filter";
    filters: "Filter", "Filters";
    filter_new: "Filter anlegen", "Add a filter";
    filter_default: "der eingebaute", "the built-in one";
    filters_hint: "Was „Gefiltert“ bedeutet: Netze, Räume und Klassen nennen ihren Filter. Ohne einen gilt der eingebaute: sichere Suche, keine Umwege um den Filter.", "What \"Filtered\" means: networks, rooms and classes name their filter. Without one the built-in holds: safe search, no ways around the filter.";
    filter_without_lists: "Noch keine Liste. Unter Internetregeln lassen sich Listen anlegen, zum Beispiel die Kategorien eines Herausgebers.", "No list yet. Lists are added under Internet rules, for example a publisher's categories.";
    filter_delete_consequence: "Wer ihn nutzt, wird danach mit dem eingebauten Filter gefiltert.", "Whoever uses it is filtered with the built-in one afterwards.";
    safe_search: "Sichere Suche", "Safe search";
    youtube_free: "ohne Einschränkung", "unrestricted";
    youtube_moderate: "moderat eingeschränkt", "moderately restricted";
    youtube_strict: "streng eingeschränkt", "strictly restricted";
    lists: "Namenslisten", "Lists of names";
    list_new: "Liste anlegen", "Add a list";
    list_source: "Adresse beim Herausgeber (leer: eigene Liste)", "Publisher's address (empty: a list of our own)";
    list_formats: "Übliche Formate werden erkannt: hosts, ein Name je Zeile, Adblock, RPZ. Die Liste wird jede Nacht erneuert.", "The usual formats are recognised: hosts, one name a line, Adblock, RPZ. The list is renewed every night.";
    list_names: "Eigene Namen, einer je Zeile; Unternamen sind eingeschlossen", "Names of our own, one a line; names below them are included";
    list_delete_consequence: "Filter gelten ohne sie weiter. Wer nur diese Freigabeliste erreichen durfte, erreicht danach nur noch, was immer erreichbar ist.", "Filters go on without it. Whoever was allowed only this list reaches only what is always reachable.";
    list_unused: "nicht verwenden", "do not use";
    list_block: "sperren", "block";
    list_allow: "erlauben", "allow";
    own_list: "eigene Liste", "our own";
    source: "Quelle", "Source";
    names: "Namen", "Names";
    updated: "Erneuert", "Updated";
    always: "Immer erreichbar", "Always reachable";
    always_built_in: "Außerdem immer erreichbar", "Always reachable, too";
    grid: "Stundenraster", "Lesson times";
    grid_hint: "Danach richtet sich „bis Stundenende“. Ein paar Minuten nach dem Gong sind eingerechnet, nie in die nächste Stunde hinein.", "\"Until the end of the lesson\" follows these. A few minutes after the bell are added, never into the next lesson.";
    grid_week: "Stunden", "Lessons";
    grid_week_hint: "Eine Zeile je Stunde: Nummer;Beginn;Ende gilt von Montag bis Freitag, Fr;6;12:30;13:10 nur freitags.", "One line a lesson: number;start;end holds from Monday to Friday, Fr;6;12:30;13:10 only on Fridays.";
    grid_special: "Ferien und kurze Tage", "Holidays and short days";
    grid_special_hint: "Eine Zeile je Zeitraum: erster Tag;letzter Tag;Name ist frei. Ein kurzer Tag nennt seine Stunden: 18.12.2026;18.12.2026;Zeugnisse;1 8:00-8:30, 2 8:35-9:05", "One line a period: first day;last day;name is free. A short day names its lessons: 18.12.2026;18.12.2026;Reports;1 8:00-8:30, 2 8:35-9:05";

    // Exams.
    exams: "Klausur", "Exam";
    exam_new: "Neue Klausur", "New exam";
    exam_hint: "Wer mitschreibt, erreicht nur noch die Freigabeliste. Offene Verbindungen enden sofort, keine Freigabe für Raum oder Klasse kommt dagegen an, und am Ende gilt von selbst wieder der Normalzustand.", "Whoever sits it reaches nothing but the allow list. Open connections end at once, no setting of a room or class prevails, and at the end everything is back to normal by itself.";
    exam_name: "Name der Klausur", "Name of the exam";
    exam_example: "z. B. Mathematik 7b", "e.g. Maths 7b";
    exam_names: "… oder diese Namen erlauben, einer je Zeile", "… or allow these names, one a line";
    exam_begin: "Klausur jetzt beginnen", "Begin the exam now";
    exam_not_begun: "Die Klausur hat nicht begonnen: Bitte das Markierte berichtigen.", "The exam has not begun: please mend what is marked.";
    exam_runs: "läuft", "running";
    exam_over: "beendet", "over";
    exam_present: "dabei", "present";
    exam_absent: "nicht dabei", "absent";
    exam_gone: "nicht mehr da", "gone";
    exam_end: "Klausur jetzt beenden", "End the exam now";
    exam_end_hint: "Alle bekommen sofort zurück, was sonst gilt.", "Everybody gets back at once what holds otherwise.";
    said_exam_begun: "Die Klausur läuft.", "The exam is on.";
    said_exam_ended: "Die Klausur ist beendet.", "The exam has ended.";
    rooms_and_classes: "Räume und Klassen", "Rooms and classes";
    begun_by: "Begonnen von", "Begun by";
    ended_by: "Vorzeitig beendet von", "Ended early by";
    begins: "Beginn", "Begin";
    ends: "Ende", "End";
    only_always: "nur, was immer erreichbar ist", "only what is always reachable";
    protocol: "Protokoll", "Protocol";
    protocol_hint: "Abgewiesen werden auch Programme, die im Hintergrund ins Netz wollen. „Umgehung“ zählt verschlüsseltes DNS und VPN. Welche Seiten jemand wollte, wird nicht festgehalten.", "Programs in the background are turned away, too. \"Ways around\" counts encrypted DNS and VPN. Which pages somebody wanted is not recorded.";
    protocol_empty: "Noch nichts: Der erste Eintrag erscheint nach wenigen Sekunden.", "Nothing yet: the first entry appears within seconds.";
    refused: "Abgewiesen", "Turned away";
    dodged: "Umgehung", "Ways around";

    // People and classes.
    people: "Personen", "People";
    role: "Rolle", "Role";
    all_roles: "alle Rollen", "all roles";
    role_school_admin: "Schuladministration", "School admin";
    role_device_officer: "Gerätebeauftragte/r", "Device officer";
    role_head_teacher: "Schulleitung", "Head teacher";
    role_teacher: "Lehrkraft", "Teacher";
    role_secretary: "Sekretariat", "Secretary";
    role_pupil: "Schüler/in", "Pupil";
    people_search_example: "Teil des Namens", "part of the name";
    people_none: "Niemand passt zu dieser Suche.", "Nobody matches this search.";
    login_name: "Anmeldename", "Name to sign in with";
    login_name_example: "z. B. lea.maier", "e.g. lea.maier";
    password_temporary: "Kennwort noch nicht selbst gewählt", "own password not chosen yet";
    add_person: "Person anlegen", "Add a person";
    add_person_hint: "Ein erstes Kennwort wird ausgedacht und einmal gezeigt. Andere Rollen gibt die Schuladministration auf der Seite der Person.", "A first password is made up and shown once. The school's admin gives other roles on the person's page.";
    no_class: "– keine –", "– none –";
    classes_and_groups: "Klassen und Gruppen", "Classes and groups";
    earlier: "Vorige", "Previous";
    later: "Nächste", "Next";
    new_password: "Neues Kennwort", "New password";
    new_password_hint: "Dieses Kennwort wird nur jetzt gezeigt. Bei der nächsten Anmeldung ist ein eigenes zu wählen.", "This password is shown only now. At the next sign-in an own one has to be chosen.";
    reset_password: "Neues Kennwort ausdenken", "Make up a new password";
    reset_password_hint: "Alle Sitzungen dieser Person enden. Das neue Kennwort wird einmal gezeigt.", "All sessions of this person end. The new password is shown once.";
    give_role: "Rolle geben", "Give the role";
    person_not_yours: "Diese Rolle verwaltet nur die Schuladministration.", "Only the school's admin manages this role.";
    person_oneself: "Das ist Ihr eigenes Konto: Rolle und Kennwort kann hier nur jemand anders ändern.", "This is your own account: here, only somebody else can change its role and password.";
    person_delete_consequence: "Das Konto wird gelöscht, alle Sitzungen enden. Geräte der Person bleiben und gehören dann niemandem.", "The account is deleted and all its sessions end. The person's devices stay and then belong to nobody.";
    join_class: "In Klasse aufnehmen", "Put into a class";
    leave: "Herausnehmen", "Take out";
    in_no_class: "In keiner Klasse.", "In no class.";
    groups_none: "Noch keine Klasse.", "No class yet.";
    new_group: "Neue Klasse oder Gruppe", "New class or group";
    new_group_example: "z. B. 7b", "e.g. 7b";
    group_devices_hint: "Geräte, die der Klasse selbst gehören, zum Beispiel ein Tablet-Wagen. Die Geräte ihrer Mitglieder zählen von selbst dazu.", "Devices that belong to the class itself, for example a tablet cart. Its members' own devices count by themselves.";
    add_people: "Personen aufnehmen", "Add people";
    add_people_example: "Anmeldenamen, durch Leerzeichen getrennt", "names they sign in with, separated by spaces";
    add_devices: "Geräte aufnehmen", "Add devices";
    add_devices_example: "Gerätenamen, durch Leerzeichen getrennt", "names of devices, separated by spaces";
    group_says_nothing: "keine Vorgabe: was Raum oder Netz sagen", "nothing: what room or network say";
    group_delete_consequence: "Die Klasse wird gelöscht. Ihre Mitglieder und Geräte bleiben; was für sie als Klasse galt, gilt nicht mehr.", "The class is deleted. Its members and devices stay; what held for them as a class holds no longer.";
    pupils: "Schülerinnen und Schüler", "Pupils";
    pupils_none: "In dieser Klasse ist noch niemand.", "Nobody is in this class yet.";
    pupils_intro: "Wer sein Kennwort vergessen hat, bekommt hier ein neues. Es wird einmal gezeigt; bei der nächsten Anmeldung ist ein eigenes zu wählen.", "Whoever forgot the password gets a new one here. It is shown once; at the next sign-in an own one has to be chosen.";
    passwords_of_pupils: "Kennwörter der Schüler", "Pupils' passwords";

    // One's own sign-in.
    own_password: "Eigenes Kennwort", "Own password";
    old_password: "Bisheriges Kennwort", "Present password";
    new_password_again: "Neues Kennwort noch einmal", "New password again";
    other_sessions_end: "Andere Sitzungen mit diesem Konto enden.", "Other sessions of this account end.";
    choose_own: "Dieses Kennwort hat jemand anders ausgedacht. Bitte zuerst ein eigenes wählen.", "Somebody else made this password up. Please choose your own first.";
    said_password: "Das neue Kennwort gilt.", "The new password holds.";
    second_factor: "Zweiter Faktor", "Second factor";
    factor_intro: "Nach dem Kennwort wird ein Code gefragt, den eine Authenticator-App auf dem Telefon zeigt. Wer nur das Kennwort kennt, kommt nicht hinein.", "After the password, a code is asked for that an authenticator app on the phone shows. Whoever knows only the password does not get in.";
    factor_required: "Die Schule verlangt für dieses Konto einen zweiten Faktor.", "The school asks this account for a second factor.";
    factor_is_on: "Der zweite Faktor ist eingerichtet.", "The second factor is set up.";
    factor_set_up: "Zweiten Faktor einrichten", "Set up a second factor";
    factor_anew: "Neu einrichten (anderes Telefon, neue Ersatzcodes)", "Set it up anew (another phone, new recovery codes)";
    factor_clear: "Zweiten Faktor abschalten", "Switch the second factor off";
    said_factor_cleared: "Der zweite Faktor ist abgeschaltet.", "The second factor is off.";
    scan_this: "Mit der App scannen", "Scan this with the app";
    or_type: "Oder diesen Schlüssel eingeben:", "Or type this key:";
    first_code: "Code, den die App zeigt", "Code that the app shows";
    recovery_codes: "Ersatzcodes", "Recovery codes";
    recovery_intro: "Jeder dieser Codes öffnet das Konto einmal, wenn das Telefon fehlt. Sie werden nur jetzt gezeigt: ausdrucken und wegschließen.", "Each of these codes opens the account once when the phone is missing. They are shown only now: print them and lock them away.";
    second_step: "Zweiter Schritt", "Second step";
    code_of_app: "Code der Authenticator-App", "Code of the authenticator app";
    recovery_hint: "Telefon nicht da? Auch ein Ersatzcode geht. Sonst kann eine andere Person aus der Schuladministration den zweiten Faktor abschalten.", "No phone? A recovery code works as well. Otherwise another admin can switch the second factor off.";
    password_again: "Kennwort bestätigen", "Confirm your password";
    password_again_why: "Für diesen Schritt wird das Kennwort noch einmal gebraucht, wenn es länger als 15 Minuten her ist.", "This step needs the password once more if it was given more than 15 minutes ago.";
    go_on: "Weiter", "Go on";

    // API tokens.
    tokens: "API-Tokens", "API tokens";
    tokens_intro: "Ein Token lässt ein Programm die API benutzen, zum Beispiel den Import der Stadt. Es kann, was hier angekreuzt ist, und sonst nichts; an den Seiten anmelden kann es sich nicht.", "A token lets a program use the API, for example the municipality's import. It can do what is chosen here and nothing else, and it cannot sign in to the pages.";
    tokens_none: "Noch kein Token.", "No token yet.";
    api_described: "Was die API kann", "What the API can do";
    api_intro: "Alles, was die Seiten können. Die genaue Beschreibung für Programme (OpenAPI 3.1):", "Everything that the pages can do. The exact description for programs (OpenAPI 3.1):";
    make_token: "Token anlegen", "Make a token";
    token_name_example: "z. B. Import der Stadt", "e.g. the town's import";
    scope: "Darf", "May";
    scope_hint: "Lesen zeigt, Schreiben ändert auch. Rollen, Kennwörter, zweite Faktoren und Tokens ändert kein Token.", "Reading shows, writing changes as well. No token changes roles, passwords, second factors or tokens.";
    reach_none: "nichts", "nothing";
    reach_read: "lesen", "read";
    reach_write: "lesen und schreiben", "read and write";
    right_lessons: "Internet in Räumen und Klassen", "Internet of rooms and classes";
    right_devices: "Geräte, Räume, Images", "Devices, rooms, images";
    right_people: "Personen und Klassen", "People and classes";
    right_school: "Netze, Regeln, Stundenraster", "Networks, rules, lesson times";
    right_history: "Verlauf", "History";
    expires: "Gilt bis zum Ende dieses Tages", "Holds until the end of this day";
    expires_short: "Gilt bis", "Until";
    expired: "abgelaufen", "over";
    from_networks: "Nur von diesen Adressen", "Only from these addresses";
    from_networks_example: "z. B. 10.77.0.0/16; leer: von überall", "e.g. 10.77.0.0/16; empty: from anywhere";
    from_anywhere: "von überall", "from anywhere";
    last_used: "Zuletzt benutzt", "Last used";
    never: "nie", "never";
    made_by: "Angelegt von", "Made by";
    token_shown_hint: "Das Token wird nur jetzt gezeigt; gespeichert ist nur seine Prüfsumme. Es gehört in den Kopf „Authorization: Bearer …“ jeder Anfrage.", "The token is shown only now; only its hash is kept. It goes into the header \"Authorization: Bearer …\" of every request.";
    only_person: "nur Personen", "people only";
    method: "Methode", "Method";
    path: "Pfad", "Path";

    // Sign-in.
    user_name: "Name", "Name";
    password: "Kennwort", "Password";
    signed_out: "Abgemeldet.", "Signed out.";
    nobody_yet: "Es gibt noch kein Konto. Auf dem Server legt „hausmeister init“ das erste an.", "There is no account yet. On the server, \"hausmeister init\" adds the first one.";
    certificate_hint: "Warnt der Browser vor dieser Seite, kennt er die Zertifikatsstelle der Schule noch nicht:", "If the browser warns of this page, it does not know the school's certificate authority yet:";
    certificate_link: "Zertifikat laden", "get its certificate";

    // Overview.
    notices: "Hinweise", "Notices";
    all_in_order: "Alles in Ordnung: Kein Dienst meldet ein Problem.", "All in order: no daemon reports a problem.";
    row_unusable: "Ein Eintrag der Datenbank ist nicht brauchbar; alles andere läuft weiter.", "An entry of the database cannot be used; everything else goes on.";
    running_jobs: "Laufende Aufträge", "Running jobs";
    tile_waiting: "PCs warten", "PCs waiting";
    tile_devices: "Geräte", "devices";
    tile_on: "eingeschaltet", "switched on";
    tile_jobs: "offene Aufträge", "open jobs";
    tile_images: "Images", "images";

    // Addresses that nothing explains.
    strays: "Unerklärte Adressen", "Unexplained addresses";
    strays_intro: "Diese Adressen sind in Gebrauch, ohne dass eine Lease oder Reservierung sie erklärt. Wer sie benutzt, darf nur, was das Netz Unbekannten erlaubt.", "These addresses are in use, and no lease and no reservation explains them. Whoever uses them may do only what the network lets strangers do.";
    strays_remedy: "Hat ein Gerät eine fest eingestellte Adresse, reservieren Sie sie auf der Seite des Geräts für seine Karte, oder stellen Sie das Gerät auf automatische Adressen (DHCP). Gehört die Karte oder die Adresse einem anderen Gerät, gibt sich vielleicht jemand als dieses aus: Sehen Sie nach, wo es steht.", "If a device has an address that was typed in, reserve it for its card on the device's page, or set the device to automatic addresses (DHCP). If card or address belong to another device, somebody may give themselves out as it: look where it is.";
    strays_none: "Jede Adresse ist erklärt.", "Every address is explained.";
    first_seen: "zuerst gesehen:", "first seen:";
    last_seen_at: "zuletzt gesehen:", "last seen:";
    look_at_them: "Ansehen", "Look at them";

    // Waiting list.
    waiting_intro: "Diese PCs haben über das Netz gestartet und sind noch nicht freigegeben. Die sechs Ziffern müssen dieselben sein wie auf dem Bildschirm des PCs.", "These PCs booted from the network and are not approved yet. The six digits must be the same as on the PC's screen.";
    waiting_none: "Kein PC wartet. Ein unbekannter PC erscheint hier von selbst, sobald er über das Netz startet.", "No PC is waiting. An unknown PC appears here by itself as soon as it boots from the network.";
    code: "Code", "Code";
    unknown_model: "Unbekanntes Modell", "Unknown model";
    since: "Wartet seit", "Waiting since";
    new_room: "Neuer Raum", "New room";
    new_room_option: "– neuer Raum –", "– new room –";
    new_room_example: "z. B. Raum 204", "e.g. Room 204";
    name_automatic: "leer: nächster Name im Raum", "empty: next name in the room";
    image_at_once: "Image sofort aufspielen", "Image to deploy at once";
    no_image: "– keines –", "– none –";
    replace_device: "Vorhandenes Gerät ersetzen", "Replace a known device";
    replace_none: "– nein, neues Gerät –", "– no, a new device –";
    replace_hint: "Nur wenn es wirklich derselbe PC ist, zum Beispiel nach einem Plattentausch. Der alte Schlüssel gilt danach nicht mehr.", "Only if it really is the same PC, for example after its disk was swapped. The old key is void afterwards.";
    same_serial: "gleiche Seriennummer", "same serial number";
    same_uuid: "gleiche Geräte-UUID", "same system UUID";
    same_card: "gleiche Netzwerkkarte", "same network card";
    approve: "Freigeben", "Approve";
    reject: "Ablehnen", "Reject";
    rejected: "Abgelehnt", "Rejected";
    forget: "Wieder zulassen", "Allow again";
    forget_hint: "Ein abgelehnter PC bekommt nichts. „Wieder zulassen“ streicht ihn; startet er noch einmal über das Netz, erscheint er wieder oben.", "A rejected PC gets nothing. \"Allow again\" removes it; when it boots from the network once more, it appears above.";
    said_rejected: "Der PC wurde abgelehnt.", "The PC was rejected.";
    said_forgotten: "Der PC darf sich wieder melden.", "The PC may come again.";

    // Columns and facts.
    name: "Name", "Name";
    room: "Raum", "Room";
    device: "Gerät", "Device";
    state: "Zustand", "State";
    image: "Image", "Image";
    address: "Adresse", "Address";
    last_seen: "Zuletzt gesehen", "Last seen";
    action: "Aktion", "Action";
    model: "Modell", "Model";
    serial: "Seriennummer", "Serial number";
    system_uuid: "Geräte-UUID", "System UUID";
    cards: "Netzwerkkarten", "Network cards";
    disks: "Festplatten", "Disks";
    disk: "Platte", "Disk";
    removable: "wechselbar", "removable";
    processor: "Prozessor", "Processor";
    memory: "Arbeitsspeicher", "Memory";
    firmware: "Firmware", "Firmware";
    hardware: "Hardware", "Hardware";
    created: "Angelegt", "Created";
    took: "Dauer", "Took";

    // Devices.
    search: "Suche", "Search";
    search_example: "Name, MAC, Adresse, Seriennummer", "name, MAC, address, serial number";
    all_rooms: "alle Räume", "all rooms";
    clear_filter: "Filter aufheben", "Clear the filter";
    devices_none: "Noch kein Gerät. Einen PC über das Netz starten und freigeben:", "No device yet. Boot a PC from the network and approve it:";
    devices_no_match: "Kein Gerät passt zu Suche und Raum.", "No device matches search and room.";
    state_expected: "noch nicht freigegeben", "not approved yet";
    state_job_waits: "Auftrag wartet", "job waits";
    state_deploying: "wird bespielt", "being deployed";
    state_capturing: "wird aufgenommen", "being captured";
    state_failed: "Auftrag gescheitert", "job failed";
    state_in_boot: "an, Netzstart", "on, network boot";
    state_on: "an", "on";
    state_off: "aus", "off";
    image_current: "aktuell", "current";
    image_missing: "nicht aufgespielt", "not deployed";

    // One device.
    desired: "Soll", "Desired";
    observed: "Ist", "Observed";
    desired_image: "Image, das es haben soll", "Image it should have";
    runs: "Läuft", "Running";
    runs_boot: "Netzstart-Umgebung", "boot environment";
    runs_installed: "installiertes System", "installed system";
    reported_name: "Eigener Rechnername", "Own host name";
    system: "Betriebssystem", "Operating system";
    kernel: "Kernel", "Kernel";
    agent: "Agent", "Agent";
    written_disk: "Bespielte Platte", "Deployed disk";
    key: "Schlüssel", "Key";
    never_seen: "Das Gerät hat sich noch nie gemeldet.", "The device never reported.";
    not_approved_hint: "Noch kein PC wurde als dieses Gerät freigegeben; Aufträge gehen erst danach.", "No PC was approved as this device yet; jobs need that first.";
    fixed_address: "Feste Adresse", "Fixed address";
    from_pool: "aus dem Adressbereich", "from the pool";
    no_cards: "Keine Netzwerkkarte bekannt.", "No network card known.";
    lan: "LAN", "LAN";
    wlan: "WLAN", "WLAN";
    deploy_now: "Image aufspielen", "Deploy an image";
    deploy_erases: "Alles auf der Platte dieses Geräts wird gelöscht, auch Dateien, die dort jemand gespeichert hat. Das lässt sich nicht rückgängig machen.", "Everything on this device's disk will be erased, also files that somebody saved there. This cannot be undone.";
    deploy_disk_choice: "Beschrieben wird die Platte, die schon einmal bespielt wurde, sonst die einzige eingebaute. Wechselbare Datenträger bleiben unberührt.", "The disk that was deployed before is written, else the only built-in one. Removable media stay untouched.";
    deploy_no_image: "Es gibt noch kein Image mit einer Version. Zuerst einen eingerichteten PC aufnehmen.", "There is no image with a version yet. Capture a prepared PC first.";
    deploy_confirm: "Platte löschen und aufspielen", "Erase the disk and deploy";
    capture_now: "Als Image aufnehmen", "Capture as an image";
    capture_intro: "Die Platte wird gelesen und als neue Version im Image-Speicher abgelegt; auf dem PC ändert sich nichts. Der PC startet dazu neu über das Netz. Persönliche Daten vorher entfernen: Alles auf der Platte kommt ins Image.", "The disk is read and stored as a new version; nothing changes on the PC, which restarts from the network for it. Remove personal data before: everything on the disk becomes part of the image.";
    capture_name_hint: "Ein vorhandener Name bekommt eine neue Version, ein neuer Name wird ein neues Image.", "A known name gets a new version, a new name becomes a new image.";
    capture_confirm: "Aufnehmen", "Capture";
    image_name: "Name des Images", "Name of the image";
    said_saved: "Gespeichert.", "Saved.";
    said_reserved: "Die feste Adresse gilt ab der nächsten DHCP-Anfrage des Geräts.", "The fixed address holds from the device's next DHCP request on.";
    said_unreserved: "Die feste Adresse ist aufgehoben.", "The fixed address is cleared.";
    said_job: "Der Auftrag ist angelegt; er beginnt, sobald der PC über das Netz startet.", "The job is queued; it begins as soon as the PC boots from the network.";
    cancel_job: "Auftrag abbrechen", "Cancel the job";
    cancel: "Abbrechen", "Cancel";
    said_cancelled: "Der Auftrag ist abgebrochen.", "The job is cancelled.";

    // Rooms.
    rooms_none: "Noch kein Raum.", "No room yet.";
    rename: "Umbenennen", "Rename";
    room_in_use: "hat Geräte", "has devices";

    // Images.
    images_intro: "Ein Image ist der Inhalt der Platte eines eingerichteten PCs. Neue Versionen entstehen auf der Seite eines Geräts mit „Als Image aufnehmen“.", "An image is the content of a prepared PC's disk. New versions are made on a device's page with \"Capture as an image\".";
    images_none: "Noch kein Image.", "No image yet.";
    image_empty: "Noch keine Version; die erste Aufnahme läuft oder ist gescheitert.", "No version yet; the first capture runs or failed.";
    version: "Version", "Version";
    size: "Belegt", "In use";
    manifest: "Manifest", "Manifest";

    // Jobs.
    job: "Auftrag", "Job";
    jobs_none: "Noch kein Auftrag.", "No job yet.";
    job_queued: "wartet auf den PC", "waits for the PC";
    job_running: "läuft", "running";
    job_done: "fertig", "done";
    job_failed: "gescheitert", "failed";
    job_cancelled: "abgebrochen", "cancelled";
    phase_start: "Beginn", "Starting";
    phase_prepare: "Vorbereiten", "Preparing";
    phase_write: "Aufspielen", "Writing";
    phase_read: "Lesen", "Reading";
    phase_personalise: "Anpassen", "Personalising";
    phase_finish: "Abschließen", "Finishing";

    // Networks.
    networks_intro: "In diesen Netzen vergibt der Server Adressen und sagt PCs, was sie starten sollen.", "In these networks the server gives addresses and tells PCs what to boot.";
    networks_none: "Noch kein Netz: Kein PC bekommt von uns eine Adresse.", "No network yet: no PC gets an address from us.";
    network: "Netz", "Network";
    router: "Router", "Router";
    pool: "Adressbereich", "Pool";
    pool_first: "Erste Adresse des Bereichs", "First address of the pool";
    pool_last: "Letzte Adresse des Bereichs", "Last address of the pool";
    lease: "Lease-Dauer", "Lease time";
    lease_minutes: "Lease-Dauer in Minuten", "Lease time in minutes";
    mode: "DHCP", "DHCP";
    mode_server: "Unser Server vergibt Adressen", "Our server gives addresses";
    mode_proxy: "Ein anderer Server vergibt Adressen; unserer sagt nur, was zu starten ist (ProxyDHCP)", "Another server gives addresses; ours only says what to boot (ProxyDHCP)";
    mode_off: "Aus: Unser Server schweigt in diesem Netz", "Off: our server says nothing in this network";
    mode_server_short: "Server", "server";
    mode_proxy_short: "ProxyDHCP", "ProxyDHCP";
    mode_off_short: "aus", "off";
    add_network: "Netz anlegen", "Add a network";
    network_delete_consequence: "Unser Server vergibt dann in diesem Netz keine Adressen mehr. Geräte behalten ihre bis zum Ende der Lease-Dauer.", "Our server then gives no addresses in this network any more. Devices keep theirs until the lease ends.";

    // Import.
    import: "Import", "Import";
    import_people: "Personen", "People";
    import_people_intro: "Eine Liste aus der Schulverwaltung (SchILD, WebUntis, ASV, DaNiS), aus IServ, linuxmuster oder UCS. Zuerst wird nur gezeigt, was sich ändern würde.", "A list from the school's administration (SchILD, WebUntis, ASV, DaNiS), from IServ, linuxmuster or UCS. At first it is only shown what would change.";
    import_people_columns: "Die erste Zeile nennt die Spalten, in beliebiger Reihenfolge: Vorname, Nachname; dazu, wenn vorhanden, ID, Klasse, Rolle, Anmeldename, Kennwort. Mit einer ID werden Personen auch nach einer Namensänderung erkannt.", "The first line names the columns, in any order: first name, last name; and if there are, id, class, role, login, password. With an id people are recognised after a change of name, too.";
    import_devices_intro: "Eine Geräteliste, zum Beispiel aus linuxmuster, UCS, CRANIX oder FOG oder selbst geschrieben. Zuerst wird nur gezeigt, was sich ändern würde.", "A list of devices, for example from linuxmuster, UCS, CRANIX or FOG, or written by hand. At first it is only shown what would change.";
    import_devices_columns: "Die erste Zeile nennt die Spalten, in beliebiger Reihenfolge: Raum, Name, MAC LAN; dazu, wenn vorhanden, MAC WLAN, IP, Besitzer, Lehrergerät. Ein Gerät ohne Namen bekommt den nächsten seines Raums. Leere Felder ändern nichts.", "The first line names the columns, in any order: room, name, MAC LAN; and if there are, MAC WLAN, IP, owner, staff. A device without a name gets the next one of its room. Empty fields change nothing.";
    import_file: "CSV-Datei", "CSV file";
    import_file_hint: "Höchstens 8 MiB. Zeichensatz und Trennzeichen werden erkannt.", "At most 8 MiB. Encoding and separator are found out.";
    import_role: "Wer steht in der Datei, wenn sie es selbst nicht sagt?", "Who is in the file, if it does not say so itself?";
    teachers: "Lehrkräfte", "Teachers";
    import_complete_people: "Die Datei ist vollständig: Wer aus einem früheren Import stammt und darin fehlt, wird stillgelegt und nach 90 Tagen gelöscht.", "The file is complete: whoever came from an earlier import and is missing in it is deactivated, and deleted after 90 days.";
    import_complete_devices: "Die Datei ist vollständig: Geräte, die darin fehlen, werden entfernt.", "The file is complete: devices that are missing in it are removed.";
    import_room: "Raum für neue Geräte, deren Zeile keinen nennt", "Room for new devices whose line names none";
    import_check: "Prüfen", "Check";
    imports_past: "Frühere Importe", "Earlier imports";
    imports_none: "Noch kein Import.", "No import yet.";
    import_preview: "Was sich ändern würde", "What would change";
    import_not_yet: "Noch ist nichts geändert.", "Nothing is changed yet.";
    import_nothing: "Es ist nichts zu tun: Alles, was in der Datei steht, gilt schon.", "There is nothing to do: all that the file says holds already.";
    import_outdated: "Inzwischen hat jemand etwas geändert. Hier steht, was der Import jetzt ändern würde; bitte noch einmal ansehen.", "Somebody changed something meanwhile. This is what the import would change at present; please look again.";
    import_ignored: "Nicht übernommene Spalten", "Columns that nothing is taken from";
    import_places: "Werden neu angelegt", "Will be added";
    import_apply: "Übernehmen", "Take over";
    import_discard: "Verwerfen", "Discard";
    import_running: "Die Datei wird übernommen. Die Seite lädt sich von selbst neu.", "The file is being taken over. The page reloads by itself.";
    import_done: "Übernommen", "Taken over";
    import_by: "Von", "By";
    line: "Zeile", "Line";
    line_problems: "Zeilen mit Problemen", "Lines with problems";
    unchanged: "Unverändert", "Unchanged";
    verdict_new: "Neu", "New";
    verdict_moved: "Versetzt", "Moved";
    verdict_changed: "Geändert", "Changed";
    verdict_removed: "Fällt weg", "Goes";
    was: "bisher", "before";
    undo: "Rückgängig machen", "Undo";
    undone: "Rückgängig gemacht", "Undone";
    first_passwords: "Erste Kennwörter", "First passwords";
    first_passwords_hint: "Sie werden nirgends gespeichert und nur hier gezeigt, höchstens eine Stunde lang. Jetzt drucken oder laden und austeilen, danach verwerfen.", "They are stored nowhere and shown only here, for an hour at most. Print or download them, hand them out, and discard the list.";
    first_passwords_load: "Als Tabelle laden", "Download as a table";
    first_passwords_discard: "Liste verwerfen", "Discard the list";
    said_forgotten_upload: "Die hochgeladene Datei ist verworfen.", "The uploaded file is discarded.";
    without_class: "Ohne Klasse", "No class";
    first_name: "Vorname", "First name";
    last_name: "Nachname", "Last name";
    external_id: "ID", "ID";
    field_returns: "Kommt zurück", "Comes back";
    owner: "Besitzer", "Owner";
    field_staff: "Lehrergerät", "Staff device";
    yes: "ja", "yes";
    no: "nein", "no";

    // History.
    changes_intro: "Wer was wann geändert hat. Fortschritt von Aufträgen und Meldungen der Geräte sind weggelassen.", "Who changed what and when. Progress of jobs and reports of devices are left out.";
    changes_none: "Noch keine Änderung.", "No change yet.";
    time: "Zeit", "Time";
    who: "Wer", "Who";
    what: "Was", "What";
    subject: "Woran", "Subject";
    older: "Ältere", "Older";
}

impl Texts {
    /// The texts of a language.
    pub(crate) fn of(lang: Lang) -> &'static Self {
        match lang {
            Lang::De => &DE,
            Lang::En => &EN,
        }
    }
}
