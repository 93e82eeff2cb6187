//! The texts about faults that people report.

use inventory::{FaultKind, FaultState};

use super::Texts;
use crate::lang::Lang;
use crate::views::Badge;

texts! {
    /// The texts about faults of one language.
    FaultTexts;

    title: "Störungen", "Faults";
    report: "Störung melden", "Report a fault";
    report_hint: "Ein Tippen auf das, was nicht geht, meldet es. Wer sich um die Geräte kümmert, sieht es sofort.", "A tap on what does not work reports it. Whoever looks after the devices sees it at once.";
    what_fails: "Was geht nicht?", "What does not work?";
    whole_room: "Ganzer Raum", "The whole room";
    words: "Wer mag: Was genau? (freiwillig)", "If you like: what exactly? (optional)";
    mine: "Meine Meldungen", "What I reported";
    none: "Keine Störung ist offen.", "No fault is open.";
    intro: "Was Lehrkräfte gemeldet haben und was die Nachtschicht mehrere Nächte lang nicht in Ordnung bringen konnte.", "What teachers reported, and what the night shift could not mend for several nights.";
    mended: "Erledigt", "Mended";
    answer: "Antwort", "Answer";
    take: "Übernehmen", "Take it";
    close: "Erledigt", "Mended";
    reopen: "Wieder öffnen", "Open again";
    said_reported: "Gemeldet. Danke!", "Reported. Thank you!";
    choose_room: "In welchem Raum?", "In which room?";
    open_faults: "offene Störungen", "open faults";
    remedy: "Auf der Seite Störungen übernehmen oder schließen", "take or close it on the page Faults";
}

impl FaultTexts {
    /// What is wrong.
    pub(crate) fn kind(&self, kind: FaultKind) -> &'static str {
        let (de, en) = match kind {
            FaultKind::Pc => ("PC oder Laptop", "PC or laptop"),
            FaultKind::Internet => ("Internet", "Internet"),
            FaultKind::Display => ("Beamer oder Tafel", "Projector or board"),
            FaultKind::Accessory => ("Tastatur, Maus, Kabel", "Keyboard, mouse, cable"),
            FaultKind::Printer => ("Drucker", "Printer"),
            FaultKind::Ipad => ("iPad", "iPad"),
            FaultKind::Program => ("Programm", "Program"),
            FaultKind::Other => ("Etwas anderes", "Something else"),
            FaultKind::Night => ("Nachtschicht gescheitert", "Night shift failed"),
        };
        if self.lang == Lang::De { de } else { en }
    }

    /// What becomes of it.
    pub(crate) fn state(&self, state: FaultState) -> Badge {
        let (kind, de, en) = match state {
            FaultState::Open => ("bad", "offen", "open"),
            FaultState::Taken => ("busy", "in Arbeit", "taken"),
            FaultState::Done => ("good", "erledigt", "mended"),
        };
        Badge::new(kind, if self.lang == Lang::De { de } else { en })
    }

    /// A report in one line, for an e-mail.
    pub(crate) fn reported(&self, actor: &str, kind: FaultKind) -> String {
        match self.lang {
            Lang::De => format!("Störung gemeldet von {actor}: {}", self.kind(kind)),
            Lang::En => format!("fault reported by {actor}: {}", self.kind(kind)),
        }
    }
}

impl Texts {
    /// The texts about faults, for templates.
    pub(crate) fn faults(&self) -> &'static FaultTexts {
        FaultTexts::of(self.lang)
    }
}
