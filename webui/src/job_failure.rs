//! Why a job on a PC failed, in the reader's language.
//!
//! A PC tells it in English. What has no German yet is shown as the PC said it. Sentences stand in each other: what a pattern
//! catches is looked up again.

use crate::lang::Lang;
use crate::problem::{captured, fill};

/// A PC's reason.
pub(crate) fn said(lang: Lang, reason: &str) -> String {
    match lang {
        Lang::De => german(reason, DEPTH_MAX).unwrap_or_else(|| reason.to_owned()),
        Lang::En => reason.to_owned(),
    }
}

fn german(text: &str, depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    REASONS.iter().find_map(|(en, de)| {
        let values = captured(en, text)?;
        let known: Vec<String> =
            values.iter().map(|value| german(value, depth).unwrap_or_else(|| (*value).to_owned())).collect();
        fill(de, &known.iter().map(String::as_str).collect::<Vec<_>>())
    })
}

/// Reasons and their parts. Values keep their order.
const REASONS: &[(&str, &str)] = &[
    ("cancelled", "abgebrochen"),
    (
        "the partition is encrypted with BitLocker: switch BitLocker off in Windows (manage-bde -off C:), wait until it has \
         decrypted everything, capture again",
        "Die Partition ist mit BitLocker verschlüsselt. In Windows BitLocker abschalten (manage-bde -off C:), warten, bis alles \
         entschlüsselt ist, und noch einmal aufnehmen",
    ),
    (
        "Windows marked the NTFS file system as dirty: start Windows, run chkdsk /f on the drive, shut down with shutdown /s /t 0, \
         capture again",
        "Windows hat das NTFS als fehlerhaft vermerkt. Windows starten, chkdsk /f für das Laufwerk ausführen, mit shutdown /s /t 0 \
         herunterfahren und noch einmal aufnehmen",
    ),
    (
        "the NTFS file system is damaged: start Windows, run chkdsk /f on the drive, shut down with shutdown /s /t 0, capture again",
        "Das NTFS ist beschädigt. Windows starten, chkdsk /f für das Laufwerk ausführen, mit shutdown /s /t 0 herunterfahren und \
         noch einmal aufnehmen",
    ),
    (
        "Windows is hibernated or was shut down with fast startup: switch fast startup off (powercfg /h off), shut down with \
         shutdown /s /t 0, capture again",
        "Windows ist im Ruhezustand oder wurde mit Schnellstart heruntergefahren. Den Schnellstart abschalten (powercfg /h off), mit \
         shutdown /s /t 0 herunterfahren und noch einmal aufnehmen",
    ),
    ("the new system cannot be set up: {}", "Das neue System lässt sich nicht einrichten: {}"),
    ("{} cannot be written on partition {}: {}", "{} auf Partition {} lässt sich nicht schreiben: {}"),
    ("partition {} cannot be mounted: {}", "Partition {} lässt sich nicht einhängen: {}"),
    (
        "Windows did not finish writing this registry file: start Windows on the reference PC, shut it down with shutdown /s /t 0 and \
         capture the image again",
        "Windows hat diese Registrierungsdatei nicht zu Ende geschrieben. Windows auf dem Referenz-PC starten, mit shutdown /s /t 0 \
         herunterfahren und das Image noch einmal aufnehmen",
    ),
    (
        "the registry file is damaged at byte {}: {}",
        "Die Registrierungsdatei ist bei Byte {} beschädigt ({}). Windows auf dem Referenz-PC prüfen und das Image noch einmal aufnehmen",
    ),
    ("the registry file has no {}", "In der Registrierungsdatei fehlt {}"),
    (
        "Windows takes no such name: rename it in the server's folder of drivers",
        "Einen solchen Namen nimmt Windows nicht: Die Datei im Treiberordner des Servers umbenennen",
    ),
    (
        "more than {} files or {} folders in each other lie in {}: take out what no PC of the school needs",
        "Mehr als {} Dateien oder {} Ordner ineinander liegen in {}: Herausnehmen, was kein PC der Schule braucht",
    ),
    (
        "the drivers for this PC are more than {} files in {} folders: take out of {} what the school's PCs do not need, such as \
         drivers for other versions of Windows",
        "Die Treiber für diesen PC sind mehr als {} Dateien in {} Ordnern: Aus {} herausnehmen, was die PCs der Schule nicht brauchen, \
         etwa Treiber für andere Versionen von Windows",
    ),
    // Last, since it fits many.
    ("partition {}: {}", "Partition {}: {}"),
];

/// A sentence in a sentence in a sentence.
const DEPTH_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_out_is_told_in_german() {
        for (reason, german) in [
            (
                "partition 3: Windows is hibernated or was shut down with fast startup: switch fast startup off \
                 (powercfg /h off), shut down with shutdown /s /t 0, capture again",
                "Partition 3: Windows ist im Ruhezustand oder wurde mit Schnellstart heruntergefahren. \
                 Den Schnellstart abschalten (powercfg /h off), mit shutdown /s /t 0 herunterfahren und noch einmal aufnehmen",
            ),
            (
                "the new system cannot be set up: Windows/System32/config/SYSTEM cannot be written on partition 3: the registry file \
                 is damaged at byte 4128: no bin begins here",
                "Das neue System lässt sich nicht einrichten: Windows/System32/config/SYSTEM auf Partition 3 lässt sich nicht \
                 schreiben: Die Registrierungsdatei ist bei Byte 4128 beschädigt (no bin begins here). Windows auf dem Referenz-PC \
                 prüfen und das Image noch einmal aufnehmen",
            ),
            ("something else", "something else"),
        ] {
            assert_eq!(said(Lang::De, reason), german);
            assert_eq!(said(Lang::En, reason), reason);
        }
    }
}
