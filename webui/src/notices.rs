//! What the daemons note that an admin should look at, in the reader's language.
//!
//! A notice is stored as its daemon said it, in English, whatever the language of whoever reads it.

use crate::lang::Lang;
use crate::problem::{captured, fill};

/// A daemon's notice, with its remedy. Those that have no German yet are shown as they are.
pub(crate) fn said(lang: Lang, text: &str, remedy: &str) -> (String, String) {
    let say = |text: &str| {
        let german = || NOTICES.iter().find_map(|(en, de)| fill(de, &captured(en, text)?));
        german().filter(|_| lang == Lang::De).unwrap_or_else(|| text.to_owned())
    };
    (say(text), say(remedy))
}

/// Notices of daemons and their remedies. Values keep their order.
const NOTICES: &[(&str, &str)] = &[
    (
        "nobody can join the WLAN, because FreeRADIUS does not run: {}",
        "Niemand kommt ins WLAN, denn FreeRADIUS läuft nicht: {}",
    ),
    (
        "install it: `apt install freeradius freeradius-rest`; it is tried again by itself",
        "Installieren: `apt install freeradius freeradius-rest`; es wird von selbst wieder versucht",
    ),
    (
        "another program has its port, probably Debian's own service: `systemctl disable --now freeradius`; it is tried again by itself",
        "Ein anderes Programm belegt seinen Port, wahrscheinlich Debians eigener Dienst: `systemctl disable --now freeradius`; es wird von selbst wieder versucht",
    ),
    (
        "it is tried again by itself; the log of the server says more",
        "Es wird von selbst wieder versucht; mehr steht im Protokoll des Servers",
    ),
    ("the last backup was not made", "Die letzte Sicherung ist nicht gelungen"),
    (
        "the backups could not be brought back on trial",
        "Das Zurückholen der Sicherungen ist bei der Probe nicht gelungen",
    ),
    (
        "there are no backups at {}: is the disk connected, is the server reachable? A new place is set up with `hausmeister backup setup`",
        "Unter {} liegen keine Sicherungen: Ist die Platte angeschlossen, der Server erreichbar? Ein neuer Ort wird mit `hausmeister backup setup` eingerichtet",
    ),
    (
        "the recovery phrase does not open {}: it belongs to other backups",
        "Der Wiederherstellungsschlüssel öffnet {} nicht: Er gehört zu anderen Sicherungen",
    ),
    (
        "{} has no room left: make some, or choose a larger disk",
        "{} ist voll: Platz schaffen oder eine größere Platte wählen",
    ),
    (
        "another program is at work in {}; it is tried again later",
        "In {} arbeitet gerade ein anderes Programm; es wird später wieder versucht",
    ),
    (
        "another process is backing up or restoring just now; wait until it is done",
        "Gerade wird von einem anderen Programm gesichert oder zurückgeholt; warten, bis es fertig ist",
    ),
    ("not everything could be read: {}", "Nicht alles ließ sich lesen: {}"),
    (
        "restic cannot be started ({}): install the Debian package restic",
        "restic lässt sich nicht starten ({}): das Debian-Paket restic installieren",
    ),
    ("the server was stopped while it ran", "Der Server wurde währenddessen beendet"),
    (
        "the clock of this server is behind that of its newest backup: set it (`timedatectl`), then try again",
        "Die Uhr dieses Servers geht gegenüber seiner neuesten Sicherung nach: sie stellen (`timedatectl`), dann noch einmal versuchen",
    ),
    (
        "it was made by Hausmeister {}, which is newer than this one ({}): install that version first, then restore",
        "Sie stammt von Hausmeister {}, das neuer ist als dieses ({}): erst diese Version installieren, dann wiederherstellen",
    ),
    ("the database in it is damaged: {}", "Die Datenbank darin ist beschädigt: {}"),
    (
        "{} MiB are to be brought back and {} has room for {} MiB: make some, or move the data folder to a larger disk",
        "{} MiB sind zurückzuholen, und {} hat Platz für {} MiB: Platz schaffen oder den Datenordner auf eine größere Platte legen",
    ),
    (
        "images cannot be fetched from {}: the file with its credentials cannot be used",
        "Von {} können keine Images geholt werden: Die Datei mit den Zugangsdaten ist nicht brauchbar",
    ),
    (
        "it is what `credentials` in [deployd.upstream] names, and must hold access_key_id and secret_access_key",
        "Es ist die, die `credentials` in [deployd.upstream] nennt; sie muss access_key_id und secret_access_key enthalten",
    ),
    ("{} does not let this server fetch images", "{} lässt diesen Server keine Images holen"),
    (
        "check the file that `credentials` in [deployd.upstream] names",
        "Die Datei prüfen, die `credentials` in [deployd.upstream] nennt",
    ),
    (
        "the catalogue of {} is not signed with the expected key",
        "Der Katalog von {} ist nicht mit dem erwarteten Schlüssel signiert",
    ),
    (
        "the catalogue of {} is older than the one that was there before",
        "Der Katalog von {} ist älter als der, der vorher dort war",
    ),
    (
        "check `url` and `key` in [deployd.upstream] with whoever publishes the images; nothing is taken from there until they fit",
        "`url` und `key` in [deployd.upstream] mit denen abgleichen, die die Images bereitstellen; bis sie passen, wird nichts von dort übernommen",
    ),
    ("have the images published there again", "Die Images dort noch einmal bereitstellen lassen"),
    ("{} hands over something damaged: {}", "{} liefert etwas Beschädigtes: {}"),
    (
        "have the images published again into an empty place; what is whole is kept",
        "Die Images an einem leeren Ort neu bereitstellen lassen; was heil ist, bleibt erhalten",
    ),
    ("{} does not have the image {}", "{} hat das Image {} nicht"),
    (
        "correct `images` in [deployd.upstream], or have the image published",
        "`images` in [deployd.upstream] berichtigen oder das Image bereitstellen lassen",
    ),
    ("there is no room for images from {}", "Für Images von {} ist kein Platz"),
    ("images cannot be fetched from {}: {}", "Von {} können keine Images geholt werden: {}"),
    (
        "check this server's way there and [deployd.upstream]; what is here stays, and it is tried again by itself",
        "Den Weg dieses Servers dorthin und [deployd.upstream] prüfen; was hier ist, bleibt, und es wird von selbst wieder versucht",
    ),
    ("an e-mail to {} could not be sent: {}", "Eine E-Mail an {} konnte nicht gesendet werden: {}"),
    (
        "check the settings on the page E-mail, and send a message to try them",
        "Auf der Seite E-Mail die Einstellungen prüfen und zum Testen eine Nachricht senden",
    ),
    ("PCs cannot be switched on: {}", "PCs lassen sich nicht einschalten: {}"),
    (
        "image {}, version {}: on {} the NTFS of partition {} could not be made as large as its partition",
        "Image {}, Version {}: Auf {} ließ sich das NTFS von Partition {} nicht so groß machen wie seine Partition",
    ),
    (
        "in Windows, select the drive in diskpart and say \"extend filesystem\"; if it is so on every PC, run chkdsk /f on the \
         reference PC and capture the image again",
        "In Windows das Laufwerk in diskpart auswählen und „extend filesystem“ eingeben; wenn es bei jedem PC so ist, auf dem \
         Referenz-PC chkdsk /f ausführen und das Image neu aufnehmen",
    ),
    (
        "image {}, version {}: on {} the Windows of partition {} got no agent; it reports nothing, and no programs are installed on it",
        "Abbild {}, Version {}: Auf {} hat das Windows von Partition {} keinen Agenten bekommen; es meldet nichts, und auf ihm werden \
         keine Programme installiert",
    ),
    (
        "on the server, run `make windows-agent` and `hausmeister init --boot-files`, then deploy the image again",
        "Auf dem Server `make windows-agent` und `hausmeister init --boot-files` ausführen, dann das Abbild neu verteilen",
    ),
    (
        "image {}, version {}: on {} the NTFS of partition {} could not be opened; a Windows on it has the name of the reference PC",
        "Image {}, Version {}: Auf {} ließ sich das NTFS von Partition {} nicht öffnen; ein Windows darauf trägt den Namen des \
         Referenz-PCs",
    ),
    (
        "run chkdsk /f on the reference PC and capture the image again; make the boot environment anew (`hausmeister \
         boot-environment`) if it is older than this server",
        "Auf dem Referenz-PC chkdsk /f ausführen und das Image neu aufnehmen; die Boot-Umgebung neu bauen (`hausmeister \
         boot-environment`), wenn sie älter ist als dieser Server",
    ),
    (
        "check that the server has an address in the PCs' network",
        "Prüfen, ob der Server eine Adresse im Netz der PCs hat",
    ),
    (
        "a part of the catalogue of programs cannot be used: {}",
        "Ein Teil des Katalogs der Programme ist nicht brauchbar: {}",
    ),
    (
        "remove the entry of the catalogue and add it again; other programs are not affected",
        "Den Eintrag im Katalog löschen und neu anlegen; andere Programme sind nicht betroffen",
    ),
    (
        "Apple's push certificate ends in less than {} days",
        "Apples Push-Zertifikat läuft in weniger als {} Tagen ab",
    ),
    ("Apple's push certificate has ended", "Apples Push-Zertifikat ist abgelaufen"),
    (
        "the server token of Apple School Manager ends in less than {} days",
        "Der Server-Token des Apple School Managers läuft in weniger als {} Tagen ab",
    ),
    (
        "the server token of Apple School Manager has ended",
        "Der Server-Token des Apple School Managers ist abgelaufen",
    ),
    (
        "the content token of Apps and Books ends in less than {} days",
        "Der Inhaltstoken für Apps und Bücher läuft in weniger als {} Tagen ab",
    ),
    ("the content token of Apps and Books has ended", "Der Inhaltstoken für Apps und Bücher ist abgelaufen"),
    (
        "the certificate of [mdm] ends in less than {} days",
        "Das Zertifikat von [mdm] läuft in weniger als {} Tagen ab",
    ),
    ("the certificate of [mdm] has ended", "Das Zertifikat von [mdm] ist abgelaufen"),
    (
        "the school's certificate authority ends in less than {} days",
        "Die Zertifizierungsstelle der Schule läuft in weniger als {} Tagen ab",
    ),
    ("the school's certificate authority has ended", "Die Zertifizierungsstelle der Schule ist abgelaufen"),
    (
        "the authority of the iPads ends in less than {} days",
        "Die Zertifizierungsstelle der iPads läuft in weniger als {} Tagen ab",
    ),
    ("the authority of the iPads has ended", "Die Zertifizierungsstelle der iPads ist abgelaufen"),
    (
        "renew it on the page Apple services, with the same Apple account: with another one every iPad has to enrol again",
        "Auf der Seite Apple-Dienste erneuern, mit demselben Apple-Konto: Mit einem anderen muss jedes iPad neu aufgenommen werden",
    ),
    (
        "download a new token in Apple School Manager and import it on the page Apple services",
        "Im Apple School Manager einen neuen Token herunterladen und auf der Seite Apple-Dienste einfügen",
    ),
    (
        "renew it, and put certificate and key where `certificate` and `key` in [mdm] say",
        "Erneuern und Zertifikat und Schlüssel dorthin legen, wo `certificate` und `key` in [mdm] hinzeigen",
    ),
    (
        "correct the files that `certificate` and `key` in [mdm] name",
        "Die Dateien berichtigen, die `certificate` und `key` in [mdm] nennen",
    ),
    (
        "make a new one and tell all PCs and iPads of it",
        "Eine neue anlegen und allen PCs und iPads mitteilen",
    ),
    (
        "every iPad has to enrol again with a new one",
        "Mit einer neuen muss jedes iPad neu aufgenommen werden",
    ),
    (
        "Apple's push service is not reached: iPads are not woken",
        "Apples Push-Dienst ist nicht erreichbar: iPads werden nicht geweckt",
    ),
    (
        "Apple's push service takes nothing: iPads are not woken",
        "Apples Push-Dienst nimmt nichts an: iPads werden nicht geweckt",
    ),
    (
        "let this server reach api.push.apple.com (TCP 443); what waits is delivered afterwards",
        "Diesem Server den Weg zu api.push.apple.com (TCP 443) öffnen; was wartet, wird danach zugestellt",
    ),
    (
        "the push certificate cannot be used; import it again with its key",
        "Das Push-Zertifikat ist nicht brauchbar; mit seinem Schlüssel noch einmal einfügen",
    ),
    (
        "the server cannot read this back; import it again",
        "Der Server kann das nicht mehr lesen; noch einmal einfügen",
    ),
    (
        "Apple School Manager waits until somebody accepts its new terms of use",
        "Der Apple School Manager wartet: Jemand muss dort die neuen Nutzungsbedingungen annehmen",
    ),
    (
        "Apple School Manager does not accept the server token any more",
        "Der Apple School Manager nimmt den Server-Token nicht mehr an; einen neuen holen und einfügen",
    ),
    (
        "Apple School Manager takes no more questions for a while",
        "Der Apple School Manager nimmt eine Zeit lang keine Anfragen an; es geht von selbst weiter",
    ),
    ("Apple School Manager refuses with {} {}", "Der Apple School Manager lehnt ab: {} {}"),
    (
        "Apple School Manager is not reached",
        "Der Apple School Manager ist nicht erreichbar; diesem Server den Weg zu mdmenrollment.apple.com (TCP 443) öffnen",
    ),
    (
        "Apple School Manager answers something that makes no sense",
        "Der Apple School Manager antwortet etwas Unverständliches; es wird wieder versucht",
    ),
    (
        "the DNS forwarder {} leaves the signatures (DNSSEC) out: answers are not validated",
        "Der DNS-Server {} lässt die Signaturen (DNSSEC) weg: Antworten werden nicht geprüft",
    ),
    (
        "the DNS forwarder {} leaves the signatures (DNSSEC) out: names of signed zones are not answered",
        "Der DNS-Server {} lässt die Signaturen (DNSSEC) weg: Namen signierter Zonen werden nicht beantwortet",
    ),
    (
        "the DNS forwarder {} hands over signatures (DNSSEC) that are not right: answers are not validated",
        "Der DNS-Server {} liefert Signaturen (DNSSEC), die nicht stimmen: Antworten werden nicht geprüft",
    ),
    (
        "the DNS forwarder {} hands over signatures (DNSSEC) that are not right: names of signed zones are not answered",
        "Der DNS-Server {} liefert Signaturen (DNSSEC), die nicht stimmen: Namen signierter Zonen werden nicht beantwortet",
    ),
    (
        "name another forwarder, such as {}, or write {} in the section [netd]",
        "Einen anderen DNS-Server eintragen, etwa {}, oder im Abschnitt [netd] {} schreiben",
    ),
    (
        "see whether the server's clock is right; else name another forwarder, or write {} in the section [netd]",
        "Prüfen, ob die Uhr des Servers stimmt; sonst einen anderen DNS-Server eintragen oder im Abschnitt [netd] {} schreiben",
    ),
    ("the certificate of {} cannot be used: {}", "Das Zertifikat von {} ist nicht brauchbar: {}"),
    (
        "name a certificate that everybody trusts and its key in [webui], or remove `portal` from [site]",
        "In [webui] ein Zertifikat nennen, dem alle vertrauen, und seinen Schlüssel, oder `portal` aus [site] streichen",
    ),
    (
        "changes of the internet rules do not take effect: {}",
        "Änderungen der Internetregeln werden nicht wirksam: {}",
    ),
    (
        "see the log of netd; the server needs nftables and the right to use it (CAP_NET_ADMIN)",
        "Das Protokoll von netd ansehen; der Server braucht nftables und das Recht dazu (CAP_NET_ADMIN)",
    ),
    (
        "no interface of this server has an address in {}: nobody is locked there",
        "Keine Schnittstelle dieses Servers hat eine Adresse in {}: Dort wird niemand gesperrt",
    ),
    (
        "give an interface an address of the network, or switch the internet rules of the network off",
        "Einer Schnittstelle eine Adresse des Netzes geben oder die Internetregeln des Netzes abschalten",
    ),
    (
        "the interface {} is not served: it does not exist",
        "Die Schnittstelle {} wird nicht bedient: Es gibt sie nicht",
    ),
    (
        "the interface {} is not served: it has no IPv4 address",
        "Die Schnittstelle {} wird nicht bedient: Sie hat keine IPv4-Adresse",
    ),
    (
        "the interface {} is not served: it is down",
        "Die Schnittstelle {} wird nicht bedient: Sie ist abgeschaltet",
    ),
    (
        "correct `interfaces` in the section [netd] of the configuration, or the interface",
        "`interfaces` im Abschnitt [netd] der Konfiguration berichtigen oder die Schnittstelle in Ordnung bringen",
    ),
    ("Apps and Books is not reached: {}", "Apps und Bücher ist nicht erreichbar: {}"),
    ("Apps and Books asks to wait", "Apps und Bücher bittet zu warten"),
    (
        "the content token of Apps and Books has expired",
        "Das Inhaltstoken von Apps und Bücher ist abgelaufen",
    ),
    (
        "the content token of Apps and Books was revoked",
        "Das Inhaltstoken von Apps und Bücher wurde durch ein anderes ersetzt",
    ),
    ("Apps and Books does not accept the content token", "Apps und Bücher nimmt das Inhaltstoken nicht an"),
    ("Apps and Books refuses: {} ({})", "Apps und Bücher lehnt ab: {} ({})"),
    (
        "the answer of Apps and Books makes no sense: {}",
        "Die Antwort von Apps und Bücher ist nicht zu verstehen: {}",
    ),
    (
        "another server, {}, manages the licences of this content token",
        "Ein anderer Server, {}, verwaltet die Lizenzen dieses Inhaltstokens",
    ),
    (
        "the content token cannot be read back; import it again",
        "Das Inhaltstoken lässt sich nicht mehr lesen; es noch einmal einlesen",
    ),
    ("licences of this app cannot belong to iPads", "Lizenzen dieser App können keinem iPad gehören"),
    ("{} iPads have no licence of the app {}", "{} iPads haben keine Lizenz der App {}"),
    (
        "download a new content token from Apple School Manager and import it on the page Apps",
        "Im Apple School Manager ein neues Inhaltstoken laden und auf der Seite Apps einlesen",
    ),
    (
        "let the other server go first, or take over on the page Apps",
        "Zuerst den anderen Server abmelden, oder die Lizenzen auf der Seite Apps übernehmen",
    ),
    (
        "this server tries again by itself; see whether it reaches the internet",
        "Der Server versucht es von selbst wieder; prüfen, ob er das Internet erreicht",
    ),
    (
        "get more licences in Apple School Manager, or give the app to fewer iPads",
        "Im Apple School Manager weitere Lizenzen besorgen oder die App weniger iPads geben",
    ),
    ("`hausmeister check` looks for the cause", "`hausmeister check` sucht nach der Ursache"),
    (
        "correct or remove this entry; everything else is served",
        "Diesen Eintrag berichtigen oder löschen; alles andere wird bedient",
    ),
    (
        "leases cannot be written, devices get no addresses: {}",
        "Leases können nicht geschrieben werden, Geräte bekommen keine Adressen: {}",
    ),
    (
        "make room on the disk, or find out who locks the database; this server goes on by itself",
        "Platz auf der Platte schaffen oder herausfinden, wer die Datenbank sperrt; danach geht es von selbst weiter",
    ),
    (
        "the address {} is not given out for a day: its client found it in use",
        "Die Adresse {} wird einen Tag lang nicht vergeben: Ihr Gerät fand sie schon in Gebrauch",
    ),
    (
        "the address {} is not given out for a day: the card {} uses it without a lease",
        "Die Adresse {} wird einen Tag lang nicht vergeben: Die Netzwerkkarte {} benutzt sie ohne Lease",
    ),
    (
        "give that machine an address outside the pool, or add it as a device with this address reserved",
        "Jenem Gerät eine Adresse außerhalb des Adressbereichs geben oder es mit dieser festen Adresse aufnehmen",
    ),
    (
        "no address is free in the pool {} to {}; new devices get none",
        "Im Adressbereich {} bis {} ist keine Adresse mehr frei; neue Geräte bekommen keine",
    ),
    (
        "enlarge the pool, shorten the lease time, or remove devices that do not belong there",
        "Den Adressbereich vergrößern, die Lease-Dauer verkürzen oder Geräte entfernen, die nicht dorthin gehören",
    ),
    (
        "the reserved address {} lies in no network of the school",
        "Die feste Adresse {} liegt in keinem Netz der Schule",
    ),
    (
        "the reserved address {} is the first or last of {}",
        "Die feste Adresse {} ist die erste oder letzte von {}",
    ),
    ("the reserved address {} is this server's own", "Die feste Adresse {} ist die dieses Servers"),
    ("the reserved address {} is that of the router", "Die feste Adresse {} ist die des Routers"),
    (
        "another DHCP server gives the addresses of {}, this one cannot reserve {}",
        "Die Adressen von {} vergibt ein anderer DHCP-Server, dieser kann {} nicht reservieren",
    ),
    (
        "reserve another address for this card, or none",
        "Für diese Netzwerkkarte eine andere Adresse reservieren oder keine",
    ),
    ("it has not been fetched yet", "Die Liste wurde noch nicht geladen"),
    ("it cannot be read: {}", "Die Liste ist nicht lesbar: {}"),
    (
        "correct the list or its source; everything else is in use",
        "Die Liste oder ihre Quelle berichtigen; alles andere ist in Gebrauch",
    ),
    ("{} cannot be read: {}", "{} ist nicht lesbar: {}"),
    (
        "run `hausmeister init` again; it lays out the files that PCs boot from",
        "`hausmeister init` noch einmal aufrufen; es legt die Dateien ab, von denen PCs starten",
    ),
    (
        "image {}, version {}, is damaged on the server: {}",
        "Das Image {}, Version {}, ist auf dem Server beschädigt: {}",
    ),
    (
        "capture or import the image again, or deploy an older version; check the disk of the server",
        "Das Image noch einmal aufnehmen oder einspielen oder eine ältere Version verteilen; die Platte des Servers prüfen",
    ),
    ("the disk of the image store is full", "Die Platte der Images ist voll"),
    (
        "free space on the data folder's disk, or move the data folder to a larger one",
        "Platz auf der Platte des Datenordners schaffen oder ihn auf eine größere legen",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_said_in_german_with_their_values() {
        let text = "the DNS forwarder 192.168.178.1:53 leaves the signatures (DNSSEC) out: answers are not validated";
        let remedy = "name another forwarder, such as tls://9.9.9.9#dns.quad9.net, or write dnssec = \"off\" in the section [netd]";
        let (de, way_out) = said(Lang::De, text, remedy);
        assert!(de.starts_with("Der DNS-Server 192.168.178.1:53 lässt"), "{de}");
        assert!(
            way_out.contains("etwa tls://9.9.9.9#dns.quad9.net, oder") && way_out.contains("\"off\""),
            "{way_out}"
        );
        assert_eq!(said(Lang::En, text, remedy), (text.to_owned(), remedy.to_owned()));
        assert_eq!(said(Lang::De, "something new", "").0, "something new");
        for (en, de) in NOTICES {
            assert_eq!(en.matches("{}").count(), de.matches("{}").count(), "{en}");
        }
    }
}
