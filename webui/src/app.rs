//! What all handlers share.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use inventory::config::Site;
use inventory::{By, Inventory, Portal, User, clock};

use crate::lang::Lang;
use crate::live::Live;
use crate::password::Checker;
use crate::throttle::Throttle;

/// Shared by all handlers; clones are cheap.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) inventory: Inventory,
    pub(crate) school: Arc<School>,
    pub(crate) passwords: Checker,
    pub(crate) live: Live,
    throttle: Arc<Mutex<Throttle>>,
}

/// What never changes while we run.
pub(crate) struct School {
    /// What the school is called.
    pub(crate) name: String,
    /// Language when a request asks for none of ours.
    pub(crate) lang: Lang,
    /// Certificate of the school's authority, PEM, for browsers to trust.
    pub(crate) authority: String,
    /// Where devices of strangers reach us, if they do.
    pub(crate) portal: Option<Portal>,
}

impl App {
    pub(crate) fn new(
        site: &Site,
        inventory: Inventory,
        live: Live,
        authority: String,
    ) -> std::io::Result<Self> {
        Ok(Self {
            inventory,
            school: Arc::new(School {
                name: site.name.clone(),
                lang: site.language.into(),
                authority,
                portal: site.portal.clone(),
            }),
            passwords: Checker::start()?,
            live,
            throttle: Arc::default(),
        })
    }

    /// Counts an attempt to sign in, or says how many seconds to wait.
    pub(crate) fn attempt(&self, name: &str, address: IpAddr) -> Result<(), u64> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner).attempt(clock::now(), name, address)
    }

    /// The attempt was a right one.
    pub(crate) fn succeeded(&self, name: &str, address: IpAddr) {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner).succeeded(clock::now(), name, address);
    }
}

/// The person behind a request; the guard puts it there.
#[derive(Clone)]
pub(crate) struct SignedIn {
    /// Who.
    pub(crate) user: Arc<User>,
    /// Hash of the session's token.
    pub(crate) session: Arc<str>,
}

impl SignedIn {
    /// Author of a change that is made at this moment.
    pub(crate) fn by(&self) -> By<'_> {
        By { actor: &self.user.name, at: clock::now() }
    }
}
