//! Who is who, in memory: an iPad that only asks whether there is work costs no question to the database.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use inventory::mdm::EnrolmentState;
use inventory::{EnrolmentId, Inventory, UnixMillis};

/// Whose certificate that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// The enrolment: the common name of the certificate.
    pub(crate) id: EnrolmentId,
    /// What is known of it; `None` before its first `Authenticate`.
    pub(crate) enrolled: Option<Enrolled>,
}

/// What is known of an iPad that said who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Enrolled {
    /// The hardware that the certificate belongs to.
    pub(crate) udid: String,
    /// How far it is.
    pub(crate) state: EnrolmentState,
    /// Whether this is its newest certificate and older ones still hold.
    pub(crate) renewed: bool,
}

/// SHA-256 of a certificate.
pub(crate) type Fingerprint = [u8; 32];

/// What is remembered, until the inventory changes.
#[derive(Debug, Default)]
pub(crate) struct Ipads {
    known: Mutex<Certificates>,
    /// For whom nothing waits.
    idle: Mutex<HashMap<EnrolmentId, UnixMillis>>,
    /// Each iPad has one of them, which grows with everything that is forgotten about it: what was read before that is not remembered
    /// after it.
    epochs: [AtomicU64; 32],
    /// For whom something new waits since whoever wakes them asked last.
    work: Mutex<HashSet<EnrolmentId>>,
    /// Who spoke since the last time that it was written down.
    seen: Mutex<HashMap<EnrolmentId, UnixMillis>>,
}

/// Whose certificates are known, and until when that is believed.
#[derive(Debug, Default)]
struct Certificates {
    all: HashMap<Fingerprint, (Known, UnixMillis)>,
    /// Those of each iPad.
    of: HashMap<EnrolmentId, Vec<Fingerprint>>,
}

impl Certificates {
    fn insert(&mut self, fingerprint: Fingerprint, known: Known, until: UnixMillis) {
        if self.all.len() >= KNOWN_MAX {
            *self = Self::default();
        }
        let of = self.of.entry(known.id).or_default();
        if self.all.insert(fingerprint, (known, until)).is_none() {
            of.push(fingerprint);
        }
    }

    fn forget(&mut self, id: EnrolmentId) {
        for fingerprint in self.of.remove(&id).into_iter().flatten() {
            self.all.remove(&fingerprint);
        }
    }
}

impl Ipads {
    /// Whose certificate that is; `None` when nobody's.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn known(
        &self,
        inventory: &Inventory,
        fingerprint: &Fingerprint,
        now: UnixMillis,
    ) -> inventory::Result<Option<Known>> {
        if let Some((known, until)) = lock(&self.known).all.get(fingerprint)
            && now < *until
        {
            return Ok(Some(known.clone()));
        }
        let text = hex(fingerprint);
        let Some(id) = inventory.enrolment_of_certificate(&text, now).await? else { return Ok(None) };
        let epoch = self.epoch(id);
        let enrolment = inventory.enrolment(id).await?;
        // Read after the epoch, and so still true of its newest certificate; of an older one it need not be.
        let newest = enrolment.as_ref().is_some_and(|it| it.certificate.as_deref() == Some(text.as_str()));
        let enrolled = enrolment.and_then(|enrolment| {
            Some(Enrolled {
                udid: enrolment.udid?,
                state: enrolment.state,
                renewed: enrolment.certificates > 1 && newest,
            })
        });
        let known = Known { id, enrolled };
        let mut all = lock(&self.known);
        if newest && epoch == self.epoch(id) {
            all.insert(*fingerprint, known.clone(), now.plus_secs(KNOWN_SECS));
        }
        Ok(Some(known))
    }

    /// What was read of an iPad when this number was another one may be out of date.
    pub(crate) fn epoch(&self, id: EnrolmentId) -> u64 {
        self.epoch_of(id).map_or(0, |epoch| epoch.load(Ordering::SeqCst))
    }

    fn next_epoch(&self, id: EnrolmentId) {
        if let Some(epoch) = self.epoch_of(id) {
            epoch.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn epoch_of(&self, id: EnrolmentId) -> Option<&AtomicU64> {
        let [first, ..] = id.0.as_bytes();
        self.epochs.get(usize::from(*first) % self.epochs.len())
    }

    /// Something changed about an iPad.
    pub(crate) fn forget(&self, id: EnrolmentId) {
        self.next_epoch(id);
        lock(&self.known).forget(id);
        lock(&self.idle).remove(&id);
    }

    /// An iPad arrived: who it is now, and who the same hardware was before, is read anew.
    pub(crate) fn forget_hardware(&self, id: EnrolmentId, udid: &str) {
        let same = |known: &Known| known.enrolled.as_ref().is_some_and(|it| it.udid == udid);
        let known = lock(&self.known);
        let before: Vec<_> =
            known.all.values().filter(|(known, _)| same(known)).map(|(known, _)| known.id).collect();
        drop(known);
        for id in before.into_iter().chain([id]) {
            self.forget(id);
        }
    }

    /// Something waits for an iPad.
    pub(crate) fn note_work(&self, id: EnrolmentId) {
        self.next_epoch(id);
        lock(&self.idle).remove(&id);
        lock(&self.work).insert(id);
    }

    /// For whom something new waits since this was asked last.
    pub(crate) fn take_work(&self) -> HashSet<EnrolmentId> {
        std::mem::take(&mut *lock(&self.work))
    }

    /// Too much changed to say about whom.
    pub(crate) fn forget_all(&self) {
        for epoch in &self.epochs {
            epoch.fetch_add(1, Ordering::SeqCst);
        }
        *lock(&self.known) = Certificates::default();
        lock(&self.idle).clear();
    }

    /// Nothing waits for an iPad until then, as was read in that epoch.
    pub(crate) fn note_idle(&self, id: EnrolmentId, until: UnixMillis, epoch: u64) {
        let mut idle = lock(&self.idle);
        if epoch != self.epoch(id) {
            return;
        }
        if idle.len() >= KNOWN_MAX {
            idle.clear();
        }
        idle.insert(id, until);
    }

    /// Whether nothing waits for an iPad.
    pub(crate) fn is_idle(&self, id: EnrolmentId, now: UnixMillis) -> bool {
        lock(&self.idle).get(&id).is_some_and(|until| now < *until)
    }

    /// An iPad spoke.
    pub(crate) fn note_seen(&self, id: EnrolmentId, now: UnixMillis) {
        lock(&self.seen).insert(id, now);
    }

    /// Who spoke since this was asked last.
    pub(crate) fn take_seen(&self) -> Vec<(EnrolmentId, UnixMillis)> {
        lock(&self.seen).drain().collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every step leaves a map that is right, so a panic elsewhere cannot have left half of one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Small letters.
pub(crate) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// Several times the iPads of the largest school.
const KNOWN_MAX: usize = 50_000;
/// How long an answer of the inventory is believed without a change: certificates end by themselves.
const KNOWN_SECS: u64 = 600;
