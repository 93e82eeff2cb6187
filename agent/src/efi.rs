//! The boot entry of UEFI firmware (UEFI specification 2.10, sections 3.1.3 and 10.3), through efivarfs.
//!
//! After a deploy the PC must start its disk once, at once, and from then on ask the network first, as before. Hence an
//! entry "Hausmeister" for the disk, named in BootNext, and last in BootOrder.

use std::fs;
use std::io;
use std::path::Path;

use images::manifest::Identity;
use images::table::Table;

/// The partition that firmware starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemPartition {
    number: u32,
    first_lba: u64,
    sectors: u64,
    /// GUID of the partition, as it stands on the disk.
    guid: [u8; 16],
}

impl SystemPartition {
    /// The EFI system partition of a table, if there is one.
    pub fn of(table: &Table) -> Option<SystemPartition> {
        table.entries.iter().find_map(|entry| match &entry.identity {
            Identity::Gpt { type_guid, unique, .. } if type_guid.as_u128() == ESP_TYPE => {
                Some(SystemPartition {
                    number: entry.number,
                    first_lba: entry.first_lba,
                    sectors: entry.sectors,
                    guid: unique.to_bytes_le(),
                })
            }
            _ => None,
        })
    }

    /// An EFI_LOAD_OPTION that starts a file.
    fn load_option(&self, loader: &str) -> Vec<u8> {
        let mut path = Vec::new();
        // Hard drive media device path.
        node(&mut path, 4, 1, |body| {
            body.extend(self.number.to_le_bytes());
            body.extend(self.first_lba.to_le_bytes());
            body.extend(self.sectors.to_le_bytes());
            body.extend(self.guid);
            // GPT, and the signature is a GUID.
            body.extend([2, 2]);
        });
        // File path, and the end of the whole.
        node(&mut path, 4, 4, |body| body.extend(utf16(loader)));
        node(&mut path, 0x7f, 0xff, |_| {});
        let mut option = LOAD_OPTION_ACTIVE.to_le_bytes().to_vec();
        option.extend(u16::try_from(path.len()).unwrap_or(u16::MAX).to_le_bytes());
        option.extend(utf16(DESCRIPTION));
        option.extend(path);
        option
    }
}

/// What firmware starts from a disk that it has no entry for (UEFI specification 2.10, section 3.5.1.1).
pub const DEFAULT_LOADER: &str = r"\EFI\BOOT\BOOTX64.EFI";
/// What a Windows that is alone on its disk starts from
/// (learn.microsoft.com/windows-hardware/manufacture/desktop/bcdboot-command-line-options-techref-di).
pub const WINDOWS_LOADER: &str = r"\EFI\Microsoft\Boot\bootmgfw.efi";

/// Makes the next start go to the file `loader` on the disk. `efivars` is the folder of efivarfs.
///
/// # Errors
/// The firmware refuses, or there is no efivarfs.
pub fn boot_disk_next(efivars: &Path, esp: &SystemPartition, loader: &str) -> io::Result<u16> {
    let wanted = esp.load_option(loader);
    let number = ours(efivars)?.map_or_else(|| free(efivars), Ok)?;
    if read(efivars, &entry(number)).ok().as_ref() != Some(&wanted) {
        write(efivars, &entry(number), &wanted)?;
    }
    let mut order = read(efivars, "BootOrder").unwrap_or_default();
    let listed = order.as_chunks::<2>().0.iter().any(|n| u16::from_le_bytes(*n) == number);
    if !listed {
        order.extend(number.to_le_bytes());
        write(efivars, "BootOrder", &order)?;
    }
    write(efivars, "BootNext", &number.to_le_bytes())?;
    Ok(number)
}

/// The number of our entry from an earlier deploy.
fn ours(efivars: &Path) -> io::Result<Option<u16>> {
    let description = utf16(DESCRIPTION);
    for file in fs::read_dir(efivars)? {
        let name = file?.file_name().into_string().unwrap_or_default();
        let Some(number) = entry_number(&name) else { continue };
        let is_ours = read(efivars, &entry(number))
            .is_ok_and(|o| o.get(6..6 + description.len()) == Some(&description));
        if is_ours {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// A number that no entry has. Firmware numbers its own from 0 upwards.
fn free(efivars: &Path) -> io::Result<u16> {
    let unused = |number: &u16| !variable(efivars, &entry(*number)).exists();
    (0x0100..0x0200).find(unused).ok_or_else(|| io::Error::other("the firmware has too many boot entries"))
}

fn entry(number: u16) -> String {
    format!("Boot{number:04X}")
}

fn entry_number(file: &str) -> Option<u16> {
    let digits = file.strip_prefix("Boot")?.strip_suffix(GLOBAL)?.strip_suffix('-')?;
    let upper = digits.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    (digits.len() == 4 && upper).then(|| u16::from_str_radix(digits, 16).ok())?
}

fn variable(efivars: &Path, name: &str) -> std::path::PathBuf {
    efivars.join(format!("{name}-{GLOBAL}"))
}

/// The value without the four bytes of attributes in front of it.
fn read(efivars: &Path, name: &str) -> io::Result<Vec<u8>> {
    let bytes = fs::read(variable(efivars, name))?;
    Ok(bytes.get(4..).unwrap_or_default().to_vec())
}

/// One write with everything, which efivarfs asks for.
fn write(efivars: &Path, name: &str, value: &[u8]) -> io::Result<()> {
    let bytes = [&ATTRIBUTES.to_le_bytes(), value].concat();
    // efivarfs does not truncate; on a plain folder `write` would leave the tail of a longer value.
    fs::write(variable(efivars, name), bytes)
}

fn node(path: &mut Vec<u8>, kind: u8, subkind: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut body = Vec::new();
    fill(&mut body);
    path.extend([kind, subkind]);
    path.extend(u16::try_from(4 + body.len()).unwrap_or(u16::MAX).to_le_bytes());
    path.extend(body);
}

/// UTF-16LE with the zero at the end.
fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

const DESCRIPTION: &str = "Hausmeister";
const ESP_TYPE: u128 = 0xC12A_7328_F81F_11D2_BA4B_00A0_C93E_C93B;
/// EFI_GLOBAL_VARIABLE.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
const LOAD_OPTION_ACTIVE: u32 = 1;
/// Non-volatile, boot service access, run time access.
const ATTRIBUTES: u32 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    fn esp() -> SystemPartition {
        SystemPartition { number: 1, first_lba: 2048, sectors: 204_800, guid: *b"0123456789abcdef" }
    }

    fn firmware(order: &[u16]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = order.iter().flat_map(|n| n.to_le_bytes()).collect();
        write(dir.path(), "BootOrder", &bytes).unwrap();
        for number in order {
            let option =
                [&1u32.to_le_bytes()[..], &4u16.to_le_bytes(), &utf16("UEFI PXEv4"), &[0x7f, 0xff, 4, 0]];
            write(dir.path(), &entry(*number), &option.concat()).unwrap();
        }
        dir
    }

    #[test]
    fn the_disk_is_next_and_the_network_stays_first() {
        let dir = firmware(&[3, 0]);
        let number = boot_disk_next(dir.path(), &esp(), DEFAULT_LOADER).unwrap();
        let order: Vec<u8> = [3u16, 0, number].iter().flat_map(|n| n.to_le_bytes()).collect();
        assert_eq!(read(dir.path(), "BootOrder").unwrap(), order);
        assert_eq!(read(dir.path(), "BootNext").unwrap(), number.to_le_bytes());
        let next = fs::read(variable(dir.path(), "BootNext")).unwrap();
        assert_eq!(next[..4], [7, 0, 0, 0]);
    }

    #[test]
    fn a_second_deploy_uses_the_same_entry_for_the_new_partition() {
        let dir = firmware(&[0]);
        let first = boot_disk_next(dir.path(), &esp(), DEFAULT_LOADER).unwrap();
        let moved = SystemPartition { guid: *b"fedcba9876543210", ..esp() };
        assert_eq!(boot_disk_next(dir.path(), &moved, WINDOWS_LOADER).unwrap(), first);
        assert_eq!(read(dir.path(), &entry(first)).unwrap(), moved.load_option(WINDOWS_LOADER));
        assert_eq!(read(dir.path(), "BootOrder").unwrap().len(), 4);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
    }

    #[test]
    fn the_load_option_has_the_bytes_of_the_specification() {
        let option = esp().load_option(DEFAULT_LOADER);
        assert_eq!(option[..6], [1, 0, 0, 0, 42 + 48 + 4, 0]);
        let path = &option[6 + 24..];
        assert_eq!(path[..4], [4, 1, 42, 0]);
        assert_eq!(path[4..24], [1, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0x20, 3, 0, 0, 0, 0, 0]);
        assert_eq!(&path[24..42], b"0123456789abcdef\x02\x02");
        assert_eq!(path[42..46], [4, 4, 48, 0]);
        assert_eq!(path[90..], [0x7f, 0xff, 4, 0]);
    }

    #[test]
    fn the_load_option_of_windows_names_its_boot_manager() {
        let option = esp().load_option(WINDOWS_LOADER);
        let path = &option[6 + 24 + 42..];
        assert_eq!(path[..4], [4, 4, 70, 0]);
        let text: Vec<u8> = r"\EFI\Microsoft\Boot\bootmgfw.efi"
            .encode_utf16()
            .chain([0])
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(path[4..70], text);
        assert_eq!(path[path.len() - 4..], [0x7f, 0xff, 4, 0]);
    }

    #[test]
    fn firmware_without_variables_is_an_error_and_no_more() {
        assert!(boot_disk_next(Path::new("/nonexistent"), &esp(), DEFAULT_LOADER).is_err());
        for (name, number) in [("Boot0001-x", None), ("BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c", None)]
        {
            assert_eq!(entry_number(name), number);
        }
        assert_eq!(entry_number("Boot00FF-8be4df61-93ca-11d2-aa0d-00e098032b8c"), Some(255));
    }
}
