//! Texts and numbers of the registry.

use windows_registry::{Key, LOCAL_MACHINE};

/// Programs of 32 bits have a registry of their own.
/// <https://learn.microsoft.com/en-us/windows/win32/winprog64/accessing-an-alternate-registry-view>
#[derive(Debug, Clone, Copy)]
pub(super) enum View {
    Bits64,
    Bits32,
}

impl View {
    /// `KEY_WOW64_64KEY`, `KEY_WOW64_32KEY`
    pub(super) fn access(self) -> u32 {
        match self {
            View::Bits64 => 0x0100,
            View::Bits32 => 0x0200,
        }
    }
}

/// A text of the machine; empty if it is not there.
pub(super) fn machine_text(path: &str, name: &str) -> String {
    let key = LOCAL_MACHINE.options().read().access(View::Bits64.access()).open(path);
    key.ok().and_then(|key| text(&key, name)).unwrap_or_default()
}

/// A number of the machine.
pub(super) fn machine_number(path: &str, name: &str) -> Option<u32> {
    let key = LOCAL_MACHINE.options().read().access(View::Bits64.access()).open(path);
    key.ok()?.get_u32(name).ok()
}

/// A text without blanks around it, of bounded length.
pub(super) fn text(key: &Key, name: &str) -> Option<String> {
    let text = key.get_string(name).ok()?;
    Some(text.trim().chars().take(TEXT_MAX).collect())
}

const TEXT_MAX: usize = 2048;
