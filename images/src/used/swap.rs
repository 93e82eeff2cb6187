//! Linux swap space: a header page and nothing worth keeping.

use super::{FsKind, Part, Ranges, Used, UsedError, uuid_text};
use crate::le::{array, u32_at};

pub(super) fn map(part: &Part<'_>, head: &[u8]) -> Result<Option<Used>, UsedError> {
    for page in PAGES {
        let signature: Option<[u8; 10]> = array(head, page - 10);
        match signature.as_ref().map(|s| s.as_slice()) {
            Some(b"SWAPSPACE2") => {}
            // The kernel, uswsusp and tuxonice replace the signature while a system sleeps in the swap space.
            Some(s)
                if s.starts_with(b"S1SUSPEND")
                    || s.starts_with(b"S2SUSPEND")
                    || s.starts_with(b"ULSUSPEND") =>
            {
                return Err(UsedError::Refused {
                    reason: "a hibernated Linux lies in the swap space",
                    remedy: "start the PC, shut it down instead of hibernating it, capture again",
                });
            }
            _ => continue,
        }
        // Version 1 is the only one; last_page counts pages after the header.
        if u32_at(head, 1024) != Some(1) {
            continue;
        }
        let pages = u64::from(u32_at(head, 1028).unwrap_or(0)) + 1;
        let fs_bytes = pages.saturating_mul(page as u64).min(part.len);
        return Ok(Some(Used {
            kind: FsKind::Swap,
            block_bytes: u32::try_from(page).unwrap_or(4096),
            uuid: uuid_text(array(head, 1036)),
            fs_bytes,
            ranges: Ranges::whole((page as u64).min(part.len)),
            whole_because: None,
        }));
    }
    Ok(None)
}

/// Page sizes of the processors that Linux runs on.
const PAGES: [usize; 5] = [4096, 8192, 16384, 32768, 65536];
