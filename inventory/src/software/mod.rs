//! Programs of PCs: the catalogue, who should have what, what was found, and what became of it.
//!
//! What a package is and what follows from wishes is the business of the crate `software`; here both are kept, and [`Book`] brings them
//! together with rooms, groups and devices.

mod book;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;

use software::package::{Architecture, Package, PackageId, System};
use software::plan::{Observed, Wish};
use software::turn::Turn;

use crate::lessons::Bell;
use crate::{Audience, DeviceId, EntryId, UnixMillis, WishId};

pub use book::Book;
pub use store::WISHES_MAX;

/// One version of a program in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: EntryId,
    /// What it is.
    pub package: Arc<Package>,
    /// Who added it.
    pub created_by: String,
    /// When.
    pub created_at: UnixMillis,
}

/// That a program is to be somewhere, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoftwareWish {
    /// Its id.
    pub id: WishId,
    /// Which program.
    pub package: PackageId,
    /// On which PCs.
    pub audience: Audience,
    /// What is wished.
    pub wish: Wish,
    /// Who wished it.
    pub created_by: String,
    /// When.
    pub created_at: UnixMillis,
}

/// What the agent of a PC found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PcSoftware {
    /// What it runs.
    pub system: System,
    /// What its processor and system are.
    pub architecture: Architecture,
    /// What is there.
    pub observed: Observed,
    /// Somebody is signed in.
    pub signed_in: bool,
    /// When it said so.
    pub reported_at: UnixMillis,
}

impl PcSoftware {
    /// Until when it gets no steps: nobody is disturbed in a lesson.
    #[must_use]
    pub fn is_left_alone_until(&self, bell: &Bell) -> Option<UnixMillis> {
        (self.signed_in && bell.lesson).then_some(bell.until)
    }
}

/// What became of programs on a PC.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Turns {
    /// The last time, by package.
    pub last: BTreeMap<PackageId, Turn>,
    /// How often a person said to try again, by package.
    pub rounds: BTreeMap<PackageId, u64>,
}

/// Programs of a PC, as far as anything is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Which PC.
    pub device: DeviceId,
    /// What its agent found.
    pub pc: PcSoftware,
    /// What became of programs on it.
    pub turns: Turns,
}
