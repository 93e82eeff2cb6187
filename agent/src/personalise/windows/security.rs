//! Who may do what with the files that are laid down.
//!
//! Linux's `ntfs3` gives what it makes to everybody, for reading and writing: a pupil could put another driver in the place of
//! ours. Hence every file and folder gets a security descriptor of its own. Source: MS-DTYP sections 2.4.6 (descriptor), 2.4.5
//! (list), 2.4.4.2 (entry), 2.4.2.4 (well-known SIDs), at learn.microsoft.com/openspecs/windows_protocols/ms-dtyp.

/// Descriptors of a file and of the folders that are made for it.
#[derive(Debug)]
pub(in super::super) struct Rights {
    pub(in super::super) file: Vec<u8>,
    pub(in super::super) folder: Vec<u8>,
}

impl Rights {
    /// The system and administrators may do everything, users may read and start.
    pub(super) fn readable() -> Rights {
        let entries = [(SYSTEM, ALL), (ADMINISTRATORS, ALL), (USERS, READ_AND_EXECUTE)];
        Rights { file: descriptor(&entries, 0), folder: descriptor(&entries, INHERITED_BY_ALL) }
    }

    /// Nobody but the system and administrators: answer files may hold passwords.
    pub(super) fn private() -> Rights {
        let entries = [(SYSTEM, ALL), (ADMINISTRATORS, ALL)];
        Rights { file: descriptor(&entries, 0), folder: descriptor(&entries, INHERITED_BY_ALL) }
    }
}

/// A descriptor in one piece, whose list takes nothing over from the folder above.
fn descriptor(entries: &[(&[u32], u32)], flags: u8) -> Vec<u8> {
    let (owner, group) = (sid(ADMINISTRATORS), sid(SYSTEM));
    let mut list = vec![2, 0];
    let body: Vec<u8> = entries.iter().flat_map(|(who, mask)| entry(&sid(who), *mask, flags)).collect();
    list.extend(short(8 + body.len()));
    list.extend(short(entries.len()));
    list.extend([0, 0]);
    list.extend(body);
    let owner_at = HEAD_BYTES;
    let group_at = owner_at + owner.len();
    let list_at = group_at + group.len();
    let mut bytes = vec![1, 0];
    bytes.extend((SELF_RELATIVE | LIST_IS_PROTECTED | LIST_IS_PRESENT).to_le_bytes());
    for place in [owner_at, group_at, 0, list_at] {
        bytes.extend(u32::try_from(place).unwrap_or(0).to_le_bytes());
    }
    [bytes, owner, group, list].concat()
}

/// Somebody may do something.
fn entry(who: &[u8], mask: u32, flags: u8) -> Vec<u8> {
    let mut bytes = vec![ACCESS_ALLOWED, flags];
    bytes.extend(short(8 + who.len()));
    bytes.extend(mask.to_le_bytes());
    bytes.extend(who);
    bytes
}

/// `S-1-5-…`
fn sid(parts: &[u32]) -> Vec<u8> {
    let mut bytes = vec![1, u8::try_from(parts.len()).unwrap_or(0), 0, 0, 0, 0, 0, 5];
    bytes.extend(parts.iter().flat_map(|part| part.to_le_bytes()));
    bytes
}

fn short(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes()
}

const SYSTEM: &[u32] = &[18];
const ADMINISTRATORS: &[u32] = &[32, 544];
const USERS: &[u32] = &[32, 545];
const ALL: u32 = 0x001f_01ff;
const READ_AND_EXECUTE: u32 = 0x0012_00a9;
const ACCESS_ALLOWED: u8 = 0;
/// Objects and containers below.
const INHERITED_BY_ALL: u8 = 3;
const LIST_IS_PRESENT: u16 = 0x0004;
const LIST_IS_PROTECTED: u16 = 0x1000;
const SELF_RELATIVE: u16 = 0x8000;
const HEAD_BYTES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_has_the_bytes_of_the_specification() {
        let bytes = Rights::private().folder;
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "0100049014000000240000000000000030000000\
             01020000000000052000000020020000\
             010100000000000512000000\
             0200340002000000\
             00031400ff011f00010100000000000512000000\
             00031800ff011f0001020000000000052000000020020000"
        );
        assert_eq!(Rights::readable().file.len(), bytes.len() + 24);
        assert!(Rights::readable().file.ends_with(&[0x21, 2, 0, 0]));
    }
}
