//! The words on the screen, German and English.

use images::protocol::Phase;

use super::{Kind, Scene};

/// A text in both languages, German first.
pub(super) type Both = [&'static str; 2];

/// What can go wrong, sorted by what a person can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// No driver for any network card.
    NoCard,
    /// No card has a link.
    NoCable,
    /// There is a link and no DHCP server.
    NoAddress,
    /// The server does not answer.
    NoServer,
    /// Somebody answers who is not our server, or the clock is wrong.
    Untrusted,
    /// The boot environment lacks something that the server should have put there.
    Incomplete,
    /// A person rejected this PC.
    Rejected,
    /// A job failed.
    Job,
    /// The agent itself died.
    Crash,
}

impl Problem {
    /// Short name for the serial line.
    pub fn name(self) -> &'static str {
        match self {
            Problem::NoCard => "no-card",
            Problem::NoCable => "no-cable",
            Problem::NoAddress => "no-address",
            Problem::NoServer => "no-server",
            Problem::Untrusted => "untrusted",
            Problem::Incomplete => "incomplete",
            Problem::Rejected => "rejected",
            Problem::Job => "job",
            Problem::Crash => "crash",
        }
    }

    pub(super) fn text(self) -> Both {
        match self {
            Problem::NoCard => ["Keine Netzwerkkarte gefunden", "No network card found"],
            Problem::NoCable => ["Kein Netzwerkkabel", "No network cable"],
            Problem::NoAddress => ["Keine Adresse erhalten", "No address received"],
            Problem::NoServer => ["Der Server antwortet nicht", "The server does not answer"],
            Problem::Untrusted => {
                ["Der Server ist nicht der Server der Schule", "The server is not the school's"]
            }
            Problem::Incomplete => {
                ["Die Startumgebung ist unvollständig", "The boot environment is incomplete"]
            }
            Problem::Rejected => ["Dieser PC wurde abgelehnt", "This PC was rejected"],
            Problem::Job => ["Der Auftrag ist fehlgeschlagen", "The job has failed"],
            Problem::Crash => ["Interner Fehler", "Internal error"],
        }
    }

    pub(super) fn remedy(self) -> Both {
        match self {
            Problem::NoCard => [
                "Netzwerkkarte im BIOS/UEFI einschalten; sonst das Modell dem Support nennen.",
                "Enable the network card in the firmware setup; else tell support the model.",
            ],
            Problem::NoCable => [
                "Kabel an PC und Dose prüfen; leuchtet die Anzeige am Anschluss?",
                "Check the cable at both ends; is the light at the socket on?",
            ],
            Problem::NoAddress => [
                "Läuft der Server? Hängt der PC im richtigen Netz (VLAN)?",
                "Is the server running? Is the PC in the right network (VLAN)?",
            ],
            Problem::NoServer => [
                "Läuft der Server? Es wird von selbst weiter versucht.",
                "Is the server running? The PC keeps trying by itself.",
            ],
            Problem::Untrusted => [
                "PC neu starten; bleibt es so, die Startumgebung auf dem Server neu erzeugen.",
                "Restart the PC; if it stays, build the boot environment anew on the server.",
            ],
            Problem::Incomplete => [
                "Die Startumgebung auf dem Server neu erzeugen, dann den PC neu starten.",
                "Build the boot environment anew on the server, then restart the PC.",
            ],
            Problem::Rejected => [
                "Auf der Seite \"Warteliste\" kann die Ablehnung zurückgenommen werden.",
                "The page \"Waiting list\" can take the rejection back.",
            ],
            Problem::Job => [
                "Ursache beheben, dann den Auftrag auf der Seite des Geräts neu starten.",
                "Solve the cause, then start the job again on the device's page.",
            ],
            Problem::Crash => [
                "Es wird von selbst neu begonnen; kommt es wieder, bitte dieses Bild melden.",
                "It starts again by itself; if it comes back, please report this screen.",
            ],
        }
    }
}

/// The headline of a scene.
pub(super) fn headline(scene: &Scene) -> Both {
    match scene {
        Scene::Drivers => ["Treiber werden geladen", "Loading drivers"],
        Scene::Network => ["Netzwerk wird gesucht", "Looking for the network"],
        Scene::Server => ["Server wird gefragt", "Asking the server"],
        Scene::Waiting { .. } => ["Dieser PC wartet auf Freigabe", "This PC waits for approval"],
        Scene::Ready => ["Bereit, kein Auftrag", "Ready, nothing to do"],
        Scene::Working(work) => match work.kind {
            Kind::Deploy => ["Dieser PC wird eingerichtet", "This PC is being set up"],
            Kind::Capture => ["Von diesem PC wird ein Image erstellt", "An image is taken from this PC"],
        },
        Scene::Helping => [
            "Fertig; die anderen PCs im Raum bekommen noch Daten",
            "Done; passing data on to the room's other PCs",
        ],
        Scene::Restarting => ["Fertig, der PC startet neu", "Done, the PC restarts"],
        Scene::Trouble(trouble) => trouble.problem.text(),
    }
}

/// What to do while a code is shown.
pub(super) const COMPARE: Both = [
    "Auf der Seite \"Warteliste\" den PC mit dieser Nummer freigeben.",
    "Approve the PC with this number on the page \"Waiting list\".",
];

/// What not to do while a disk is written.
pub(super) const DO_NOT_SWITCH_OFF: Both = [
    "Bitte nicht ausschalten. Nach einem Stromausfall geht es von selbst weiter.",
    "Please do not switch off.",
];

/// The part of a job.
pub(super) fn phase(phase: Phase, kind: Kind) -> Both {
    match (phase, kind) {
        (Phase::Prepare, _) => ["Datenträger wird geprüft", "Looking at the disk"],
        (Phase::Transfer, Kind::Deploy) => ["Daten werden übertragen", "Transferring data"],
        (Phase::Transfer, Kind::Capture) => ["Daten werden gelesen", "Reading data"],
        (Phase::Personalise, _) => ["Rechnername wird eingerichtet", "Setting up the host name"],
        (Phase::Finish, Kind::Deploy) => ["Startsektor wird geschrieben", "Writing the boot sector"],
        (Phase::Finish, Kind::Capture) => ["Image wird veröffentlicht", "Publishing the image"],
    }
}

/// `noch 3 min` / `3 min left`.
pub(super) const REMAINING: Both = ["noch", "left"];
/// Before the number of seconds to the next try.
pub(super) const RETRY: Both = ["Nächster Versuch in", "Next try in"];
