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
    known: Mutex<HashMap<Fingerprint, (Known, UnixMillis)>>,
    /// For whom nothing waits.
    idle: Mutex<HashMap<EnrolmentId, UnixMillis>>,
    /// Grows with everything that is forgotten: what was read before that is not remembered after it.
    epoch: AtomicU64,
    /// For whom something new waits since whoever wakes them asked last.
    work: Mutex<HashSet<EnrolmentId>>,
    /// Who spoke since the last time that it was written down.
    seen: Mutex<HashMap<EnrolmentId, UnixMillis>>,
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
        if let Some((known, until)) = lock(&self.known).get(fingerprint)
            && now < *until
        {
            return Ok(Some(known.clone()));
        }
        let (text, epoch) = (hex(fingerprint), self.epoch());
        let Some(id) = inventory.enrolment_of_certificate(&text, now).await? else { return Ok(None) };
        let enrolment = inventory.enrolment(id).await?;
        let enrolled = enrolment.and_then(|enrolment| {
            Some(Enrolled {
                udid: enrolment.udid?,
                state: enrolment.state,
                renewed: enrolment.certificates > 1
                    && enrolment.certificate.as_deref() == Some(text.as_str()),
            })
        });
        let known = Known { id, enrolled };
        let mut all = lock(&self.known);
        if epoch != self.epoch() {
            return Ok(Some(known));
        }
        if all.len() >= KNOWN_MAX {
            all.clear();
        }
        all.insert(*fingerprint, (known.clone(), now.plus_secs(KNOWN_SECS)));
        Ok(Some(known))
    }

    /// What was read when this number was another one may be out of date.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    fn next_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Something changed about an iPad.
    pub(crate) fn forget(&self, id: EnrolmentId) {
        self.next_epoch();
        lock(&self.known).retain(|_, (known, _)| known.id != id);
        lock(&self.idle).remove(&id);
    }

    /// An iPad arrived: who it is now, and who the same hardware was before, is read anew.
    pub(crate) fn forget_hardware(&self, id: EnrolmentId, udid: &str) {
        self.next_epoch();
        let same =
            |known: &Known| known.id == id || known.enrolled.as_ref().is_some_and(|it| it.udid == udid);
        lock(&self.known).retain(|_, (known, _)| !same(known));
        lock(&self.idle).remove(&id);
    }

    /// Something waits for an iPad.
    pub(crate) fn note_work(&self, id: EnrolmentId) {
        self.next_epoch();
        lock(&self.idle).remove(&id);
        lock(&self.work).insert(id);
    }

    /// For whom something new waits since this was asked last.
    pub(crate) fn take_work(&self) -> HashSet<EnrolmentId> {
        std::mem::take(&mut *lock(&self.work))
    }

    /// Too much changed to say about whom.
    pub(crate) fn forget_all(&self) {
        self.next_epoch();
        lock(&self.known).clear();
        lock(&self.idle).clear();
    }

    /// Nothing waits for an iPad until then, as was read in that epoch.
    pub(crate) fn note_idle(&self, id: EnrolmentId, until: UnixMillis, epoch: u64) {
        let mut idle = lock(&self.idle);
        if epoch != self.epoch() {
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
