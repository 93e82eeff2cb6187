//! What all handlers share.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use inventory::config::Site;
use inventory::{By, Inventory, Portal, Role, UnixMillis, User, clock};

use crate::bearer::Scope;
use crate::config::Config;
use crate::fresh;
use crate::imports::Uploads;
use crate::lang::Lang;
use crate::live::Live;
use crate::rights;
use inventory::files::Files;
use inventory::mdm::ServerUrl;
use inventory::password::Checker;
use inventory::throttle::Throttle;
use inventory::vault::Vault;

/// Shared by all handlers; clones are cheap.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) inventory: Inventory,
    pub(crate) school: Arc<School>,
    pub(crate) passwords: Checker,
    pub(crate) live: Live,
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) vault: Vault,
    /// Files of programs.
    pub(crate) software_files: Files,
    throttle: Arc<Mutex<Throttle<IpAddr>>>,
}

/// What never changes while we run.
pub(crate) struct School {
    /// What the school is called.
    pub(crate) name: String,
    /// DNS zone of the school's devices.
    pub(crate) zone: String,
    /// Language when a request asks for none of ours.
    pub(crate) lang: Lang,
    /// Certificate of the school's authority, PEM, for browsers to trust.
    pub(crate) authority: String,
    /// Whether accounts that open much must have a second factor.
    pub(crate) require_second_factor: bool,
    /// Where devices of strangers reach us, if they do.
    pub(crate) portal: Option<Portal>,
    /// Where iPads reach the MDM server, if there is one.
    pub(crate) mdm_url: Option<ServerUrl>,
}

impl App {
    pub(crate) fn new(
        site: &Site,
        config: &Config,
        inventory: Inventory,
        live: Live,
        vault: Vault,
        authority: String,
    ) -> std::io::Result<Self> {
        let school = School {
            name: site.name.clone(),
            zone: site.zone.clone(),
            lang: site.language.into(),
            authority,
            require_second_factor: config.require_second_factor,
            portal: site.portal.clone(),
            mdm_url: site.mdm_url.clone(),
        };
        Ok(Self {
            inventory,
            school: Arc::new(school),
            passwords: Checker::start()?,
            live,
            uploads: Arc::default(),
            vault,
            software_files: site.software_files(),
            throttle: Arc::default(),
        })
    }

    /// Counts an attempt to sign in, or says how many seconds to wait.
    pub(crate) fn attempt(&self, name: &str, address: IpAddr) -> Result<(), u64> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner).attempt(clock::now(), name, address)
    }

    /// Counts a token that was refused; says how many seconds to wait when there were too many from there.
    pub(crate) fn bad_token(&self, address: IpAddr) -> Option<u64> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner).bad_token(clock::now(), address)
    }

    /// The attempt was a right one.
    pub(crate) fn succeeded(&self, name: &str, address: IpAddr) {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner).succeeded(clock::now(), name, address);
    }
}

/// Whom a request speaks for; the guard puts it there.
#[derive(Clone)]
pub(crate) struct SignedIn {
    /// Who: a person, or what stands for a token.
    pub(crate) user: Arc<User>,
    /// Hash of the session's token.
    pub(crate) session: Arc<str>,
    /// When the password was given last in this session.
    pub(crate) authenticated_at: UnixMillis,
    /// What a token may do; `None` for a person.
    pub(crate) scopes: Option<Arc<[Scope]>>,
}

impl SignedIn {
    /// Author of a change that is made at this moment.
    pub(crate) fn by(&self) -> By<'_> {
        By { actor: &self.user.name, at: clock::now() }
    }

    /// Whether a program asks, and not a person.
    pub(crate) fn is_program(&self) -> bool {
        self.scopes.is_some()
    }

    /// Whether the password was given lately. A program has none to give.
    pub(crate) fn is_fresh(&self) -> bool {
        !self.is_program() && fresh::is_fresh(self.authenticated_at, clock::now())
    }

    /// Whether somebody with that role may be changed or removed. A program keeps pupils and teachers only, whoever made its token.
    pub(crate) fn manages(&self, other: Role) -> bool {
        if self.is_program() { rights::is_common(other) } else { rights::manages(self.user.role, other) }
    }
}
