//! Which disk of a PC is the one to write.
//!
//! Kernel names say nothing: `sda` may be the card reader tomorrow. A disk is known by its world-wide name, else by its
//! serial number. Where there is any doubt nothing is chosen.

use crate::protocol::Disk;

/// A disk and what the agent knows about it that is not worth telling the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// As reported in the hardware inventory.
    pub disk: Disk,
    /// Write-protected.
    pub read_only: bool,
}

/// Why no disk is chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// There is none that could be written.
    #[error(
        "no disk that could be written was found ({0}); check the cable and the storage mode in the firmware setup"
    )]
    None(String),
    /// There are several and none is known.
    #[error(
        "several disks could be meant ({0}); unplug all but one, or choose the disk on the device's page"
    )]
    Several(String),
    /// The known one is not there, or several answer to its identity.
    #[error(
        "the disk that was used before ({previous}) is not there, but {found}; choose the disk on the device's page"
    )]
    Changed {
        /// Identity of the disk that was used before.
        previous: String,
        /// The disks that are there.
        found: String,
    },
}

/// What a disk is known by: its world-wide name, else its serial number. `None` if it has neither.
pub fn identity(disk: &Disk) -> Option<&str> {
    [disk.wwn.trim(), disk.serial.trim()].into_iter().find(|id| !id.is_empty())
}

/// Chooses the disk that `previous` names by wwn or serial number, else the only one that there is.
///
/// Removable, write-protected and empty disks are never chosen.
///
/// # Errors
/// See [`Reason`]; the text lists the disks.
pub fn choose<'c>(candidates: &'c [Candidate], previous: Option<&str>) -> Result<&'c Candidate, Reason> {
    let usable: Vec<&Candidate> =
        candidates.iter().filter(|c| !c.disk.removable && !c.read_only && c.disk.bytes > 0).collect();
    let Some(previous) = previous.map(str::trim).filter(|p| !p.is_empty()) else {
        return match usable.as_slice() {
            [] => Err(Reason::None(list(&candidates.iter().collect::<Vec<_>>()))),
            [one] => Ok(one),
            several => Err(Reason::Several(list(several))),
        };
    };
    let known: Vec<&Candidate> = usable
        .iter()
        .copied()
        .filter(|c| [c.disk.wwn.trim(), c.disk.serial.trim()].contains(&previous))
        .collect();
    match (known.as_slice(), usable.as_slice()) {
        ([one], _) => Ok(one),
        (_, []) => Err(Reason::None(list(&candidates.iter().collect::<Vec<_>>()))),
        // Somebody replaced the disk. The device key was on the old one, so a person has approved the PC again.
        ([], [only]) => Ok(only),
        _ => Err(Reason::Changed { previous: previous.into(), found: list(&usable) }),
    }
}

fn list(disks: &[&Candidate]) -> String {
    if disks.is_empty() {
        return "none at all".into();
    }
    let one = |c: &&Candidate| {
        let Disk { name, model, bytes, .. } = &c.disk;
        let id = identity(&c.disk).unwrap_or("no serial number");
        let why = if c.disk.removable {
            ", removable"
        } else if c.read_only {
            ", write-protected"
        } else {
            ""
        };
        format!("{name}: {} {id}, {} GB{why}", model.trim(), bytes / 1_000_000_000)
    };
    disks.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(name: &str, wwn: &str, serial: &str) -> Candidate {
        let disk = Disk {
            name: name.into(),
            model: "Model ".into(),
            serial: serial.into(),
            wwn: wwn.into(),
            bytes: 256_060_514_304,
            sector_bytes: 512,
            removable: false,
        };
        Candidate { disk, read_only: false }
    }

    fn chosen(disks: &[Candidate], previous: Option<&str>) -> Result<String, Reason> {
        choose(disks, previous).map(|c| c.disk.name.clone())
    }

    #[test]
    fn the_only_disk_is_chosen_whatever_else_is_plugged_in() {
        let mut stick = disk("sda", "", "STICK");
        stick.disk.removable = true;
        let mut dvd = disk("sr0", "", "DVD");
        dvd.read_only = true;
        let mut reader = disk("sdb", "", "READER");
        reader.disk.bytes = 0;
        let all = [stick.clone(), dvd.clone(), reader, disk("nvme0n1", "eui.1", "S1")];
        assert_eq!(chosen(&all, None).unwrap(), "nvme0n1");
        assert!(matches!(chosen(&[stick, dvd], None), Err(Reason::None(list)) if list.contains("removable")));
    }

    #[test]
    fn the_known_disk_is_found_under_another_kernel_name() {
        let disks = [disk("sda", "", "B"), disk("sdb", "naa.5", "A ")];
        assert_eq!(chosen(&disks, Some("A")).unwrap(), "sdb");
        assert_eq!(chosen(&disks, Some("naa.5")).unwrap(), "sdb");
        assert_eq!(chosen(&disks, Some("B")).unwrap(), "sda");
    }

    #[test]
    fn doubt_is_refused_with_the_list() {
        let disks = [disk("sda", "", "A"), disk("sdb", "", "B")];
        let text = chosen(&disks, None).unwrap_err().to_string();
        assert!(text.contains("sda: Model A, 256 GB") && text.contains("sdb"), "{text}");
        let twins = [disk("sda", "", "A"), disk("sdb", "", "A")];
        assert!(matches!(chosen(&twins, Some("A")), Err(Reason::Changed { .. })));
    }

    #[test]
    fn a_replaced_disk_is_chosen_only_when_there_is_no_other() {
        assert_eq!(chosen(&[disk("sda", "", "NEW")], Some("OLD")).unwrap(), "sda");
        let two = [disk("sda", "", "NEW"), disk("sdb", "", "NEWER")];
        assert!(matches!(chosen(&two, Some("OLD")), Err(Reason::Changed { .. })));
        assert!(matches!(chosen(&[], Some("OLD")), Err(Reason::None(_))));
        assert_eq!(chosen(&[disk("vda", "", "")], None).unwrap(), "vda");
        assert_eq!(chosen(&[disk("vda", "", "")], Some(" ")).unwrap(), "vda");
    }

    #[test]
    fn identity_prefers_the_world_wide_name() {
        assert_eq!(identity(&disk("a", "w", "s").disk), Some("w"));
        assert_eq!(identity(&disk("a", " ", "s").disk), Some("s"));
        assert_eq!(identity(&disk("a", "", "").disk), None);
    }
}
