//! What there is to say about programs on PCs, in both languages.

use ::software::package::{Cause, Found, PackageError};
use ::software::plan::{Action, Problem as InTheWay, Rank, Reason, Source, Wish};
use ::software::run::{Delay, Failure as Fault, Left, Outcome, Report};
use ::software::turn::Turn;

use super::{OnPc, Stand};
use crate::lang::Lang;
use crate::views::Badge;

fn pick<T>(lang: Lang, de: T, en: T) -> T {
    match lang {
        Lang::De => de,
        Lang::En => en,
    }
}

/// How a PC stands to a program, in a word.
pub(crate) fn say_state(lang: Lang, pc: &OnPc) -> Badge {
    let says = |kind, de, en| Badge::new(kind, pick(lang, de, en));
    match (&pc.stand, pc.last.as_ref().map(|turn| &turn.outcome)) {
        (Stand::InTheWay(InTheWay::GaveUp), _) => says("bad", "gescheitert", "failed"),
        (Stand::InTheWay(_), _) => says("bad", "braucht eine Entscheidung", "needs a decision"),
        (Stand::Good, _) if pc.found.present() => says("good", "da", "there"),
        (Stand::Good, _) => says("idle", "nicht da", "not there"),
        (Stand::ToDo(..), Some(Outcome::Failed(_))) => {
            says("bad", "wird noch einmal versucht", "is tried again")
        }
        (Stand::ToDo(..), Some(Outcome::RestartPending)) => {
            says("warn", "braucht einen Neustart", "needs a restart")
        }
        (Stand::ToDo(..), Some(Outcome::Waiting { .. })) => says("warn", "PC ist belegt", "PC is in use"),
        (Stand::ToDo(..), _) if pc.in_lesson => {
            says("idle", "wartet auf das Ende der Stunde", "waits for the end of the lesson")
        }
        (Stand::ToDo(Action::Uninstall { .. }, _), _) => says("busy", "wird entfernt", "is being removed"),
        (Stand::ToDo(Action::Upgrade { .. }, _), _) => says("busy", "wird erneuert", "is being updated"),
        (Stand::ToDo(Action::Install, _), _) => says("busy", "wird installiert", "is being installed"),
    }
}

/// Why something is to be done or cannot be done, in a sentence.
pub(crate) fn say_reason(lang: Lang, pc: &OnPc) -> String {
    match &pc.stand {
        Stand::Good => match &pc.found {
            Found::Version(version) => version.to_string(),
            _ => String::new(),
        },
        Stand::ToDo(_, reason) => said_reason(lang, reason),
        Stand::InTheWay(problem) => said_problem(lang, problem),
    }
}

fn said_reason(lang: Lang, reason: &Reason) -> String {
    match reason {
        Reason::Assigned(decision) => {
            let by = sources(lang, &decision.by);
            match decision.wish {
                Wish::Required { .. } => pick(lang, format!("zugewiesen: {by}"), format!("assigned: {by}")),
                Wish::Absent => pick(lang, format!("soll weg: {by}"), format!("to be removed: {by}")),
            }
        }
        Reason::DependencyOf(names) => {
            let names = list(names);
            pick(lang, format!("wird gebraucht von {names}"), format!("needed by {names}"))
        }
        Reason::ReplacedBy(name) => {
            pick(lang, format!("ersetzt durch {name}"), format!("replaced by {name}"))
        }
        Reason::Reinstall => pick(
            lang,
            "die alte Version geht, bevor die neue kommt".to_owned(),
            "the old version goes before the new one comes".to_owned(),
        ),
        Reason::Undecided(_) => pick(
            lang,
            "Zuweisungen widersprechen sich".to_owned(),
            "assignments contradict each other".to_owned(),
        ),
    }
}

fn said_problem(lang: Lang, problem: &InTheWay) -> String {
    let (de, en) = match problem {
        InTheWay::Unknown => ("nicht im Katalog".to_owned(), "not in the catalogue".to_owned()),
        InTheWay::Unsuitable => (
            "nicht für dieses System; eine Version dafür anlegen".to_owned(),
            "not for this system; add a version for it".to_owned(),
        ),
        InTheWay::NoSuchVersion(version) => (
            format!("Version {version} gibt es im Katalog nicht"),
            format!("the catalogue has no version {version}"),
        ),
        InTheWay::Contradiction => (
            "Zuweisungen widersprechen sich; eine zurücknehmen".to_owned(),
            "assignments contradict each other; take one back".to_owned(),
        ),
        InTheWay::Cycle(names) => (
            format!("hängt über {} von sich selbst ab", list(names)),
            format!("depends on itself by way of {}", list(names)),
        ),
        InTheWay::MissingDependency(name) => (
            format!("braucht {name}; es in den Katalog aufnehmen"),
            format!("needs {name}; add it to the catalogue"),
        ),
        InTheWay::DependencyTooOld { dependency, at_least } => (
            format!("braucht {dependency} ab {at_least}, zugewiesen ist eine ältere Version"),
            format!("needs {dependency} {at_least} or newer; an older version is assigned"),
        ),
        InTheWay::DependencyForbidden { dependency, by } => (
            format!("braucht {dependency}, das hier nicht sein soll: {}", sources(lang, by)),
            format!("needs {dependency}, which is not to be here: {}", sources(lang, by)),
        ),
        InTheWay::DependencyStopped(name) => (
            format!("wartet auf {name}, das nicht installiert werden kann"),
            format!("waits for {name}, which cannot be installed"),
        ),
        InTheWay::Conflict { with, .. } => {
            (format!("verträgt sich nicht mit {with}"), format!("cannot be beside {with}"))
        }
        InTheWay::NewerInstalled(version) => (
            format!("es ist schon die neuere Version {version} da"),
            format!("the newer version {version} is there already"),
        ),
        InTheWay::CannotUpgrade => {
            ("lässt sich nur von Hand erneuern".to_owned(), "can only be updated by hand".to_owned())
        }
        InTheWay::CannotUninstall => (
            "es fehlt der Befehl zum Entfernen; ihn in einer neuen Version angeben".to_owned(),
            "there is no command to remove it; give one in a new version".to_owned(),
        ),
        InTheWay::NeededBy(names) => {
            (format!("wird noch gebraucht von {}", list(names)), format!("still needed by {}", list(names)))
        }
        InTheWay::GaveUp => (
            "dreimal gescheitert; die Ursache beheben und es noch einmal versuchen lassen".to_owned(),
            "failed three times; mend the cause and have it tried again".to_owned(),
        ),
    };
    pick(lang, de, en)
}

/// What became of a step, in a sentence, and what the installer wrote last.
pub(crate) fn say_result(lang: Lang, turn: &Turn) -> (String, String) {
    let (de, en) = match &turn.outcome {
        Outcome::Done { despite: Some(code), .. } => (
            format!("erledigt, obwohl der Befehl mit {code} endete"),
            format!("done, although the command ended with {code}"),
        ),
        Outcome::Done { ran: true, .. } => ("erledigt".to_owned(), "done".to_owned()),
        Outcome::Done { .. } => ("war schon so".to_owned(), "was so already".to_owned()),
        Outcome::RestartPending => {
            ("fertig nach einem Neustart".to_owned(), "complete after a restart".to_owned())
        }
        Outcome::Waiting { signed_in: true, .. } => (
            "wartet, bis sich alle abgemeldet haben".to_owned(),
            "waits until everybody has signed out".to_owned(),
        ),
        Outcome::Waiting { .. } => ("wartet auf das Netzteil".to_owned(), "waits for mains power".to_owned()),
        Outcome::RetryLater(delay) => said_delay(*delay),
        Outcome::Failed(report) | Outcome::NeedsPerson(report) => {
            return (said_report(lang, report), report.tail.text());
        }
    };
    (pick(lang, de, en), String::new())
}

fn said_delay(delay: Delay) -> (String, String) {
    let (de, en) = match delay {
        Delay::Files => ("die Dateien kamen nicht an", "the files did not arrive"),
        Delay::Busy => ("eine andere Installation läuft", "another installation is running"),
        Delay::RestartFirst => ("der PC muss zuerst neu starten", "the PC must restart first"),
    };
    (de.to_owned(), en.to_owned())
}

fn said_report(lang: Lang, report: &Report) -> String {
    let (de, en) = match report.failure {
        Fault::Exit { code, cause } => {
            let (de, en) = said_cause(cause);
            (format!("der Befehl endete mit {code}{de}"), format!("the command ended with {code}{en}"))
        }
        Fault::Ended => ("der Befehl wurde abgebrochen".to_owned(), "the command was ended".to_owned()),
        Fault::TimedOut => {
            ("der Befehl wurde nicht fertig".to_owned(), "the command did not end in time".to_owned())
        }
        Fault::NotThere => (
            "der Befehl meldete Erfolg, aber das Programm ist nicht da".to_owned(),
            "the command reported success, but the program is not there".to_owned(),
        ),
        Fault::StillThere => (
            "der Befehl meldete Erfolg, aber das Programm ist noch da".to_owned(),
            "the command reported success, but the program is still there".to_owned(),
        ),
        Fault::Interrupted => {
            ("der PC ging mittendrin aus".to_owned(), "the PC went off in the middle".to_owned())
        }
        Fault::NotStarted => {
            ("der Befehl ließ sich nicht starten".to_owned(), "the command could not be started".to_owned())
        }
        Fault::Delayed(delay) => said_delay(delay),
    };
    let (left_de, left_en) = match report.left {
        Left::Nothing => ("", ""),
        Left::TakenBack => {
            ("; was halb da war, ist wieder entfernt", "; what was half there was removed again")
        }
        Left::Something => ("; etwas davon ist geblieben", "; some of it was left"),
    };
    let times = report.attempts;
    pick(lang, format!("{de}{left_de} (Versuch {times})"), format!("{en}{left_en} (attempt {times})"))
}

fn said_cause(cause: Cause) -> (&'static str, &'static str) {
    match cause {
        Cause::Unknown => ("", ""),
        Cause::MissingDependency => {
            (": es fehlt etwas, das es braucht", ": something that it needs is missing")
        }
        Cause::DiskFull => (": die Platte ist voll", ": the disk is full"),
        Cause::Memory => (": zu wenig Arbeitsspeicher", ": too little memory"),
        Cause::Arguments => (": er kennt eine Angabe nicht", ": it does not know an argument"),
        Cause::Network => (": er kam nicht ins Netz", ": it had no network"),
        Cause::Cancelled => (": jemand brach ihn ab", ": somebody cancelled it"),
        Cause::Newer => (": eine neuere Version ist da", ": a newer version is there"),
        Cause::Forbidden => (": eine Regel des Systems verbietet es", ": a rule of the system forbids it"),
        Cause::Unsupported => {
            (": das System ist zu alt oder ein anderes", ": the system is too old or another one")
        }
    }
}

/// Why parts do not make a package.
pub(crate) fn say_package(lang: Lang, error: &PackageError) -> String {
    if lang == Lang::En {
        return error.to_string();
    }
    match error {
        PackageError::NoArchitecture(_) => "Keine Bauart gewählt; mindestens eine ankreuzen".to_owned(),
        PackageError::TooMany { count, .. } => format!("{count} Einträge in einer Liste; höchstens 64 sind möglich"),
        PackageError::SameName { file, .. } => format!("Zwei Dateien heißen {file}; eine umbenennen"),
        PackageError::Twice { named, .. } => format!("{named} ist doppelt genannt, oder das Programm nennt sich selbst"),
        PackageError::Torn { named, .. } => format!("{named} wird gebraucht und zugleich ausgeschlossen; eines davon streichen"),
        PackageError::NoFiles(_) => {
            "Ein Befehl nennt {dir}, aber es gehört keine Datei dazu; eine hochladen oder das Programm selbst nennen".to_owned()
        }
        PackageError::NoUninstall(_) => {
            "Vor dem Erneuern soll entfernt werden, aber es fehlt ein Befehl dafür; einen angeben".to_owned()
        }
        PackageError::OtherSystem(_) => {
            "Die Art, wie es gefunden oder entfernt wird, passt nicht zum System; eine andere wählen".to_owned()
        }
    }
}

fn sources(lang: Lang, sources: &[Source]) -> String {
    let name = |source: &Source| match source.rank {
        Rank::School => pick(lang, "ganze Schule", "whole school").to_owned(),
        _ => source.name.to_string(),
    };
    sources.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn list(names: &[::software::package::PackageId]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
