//! The inventory: what exists in the school, what should be true of it, and what was seen of it.
//!
//! Every daemon reads and writes through this crate and through nothing else; it is the only one that names a database engine.
//! Functions are named for the question they answer; absence is `Option`; a stored row that makes no sense is an error that
//! names the row.

mod audience;
pub mod backup;
pub mod boot;
pub mod ca;
mod changes;
pub mod clock;
pub mod config;
mod db;
mod devices;
mod error;
mod faults;
pub mod files;
pub mod gate;
mod groups;
mod images;
pub mod import;
mod jobs;
mod leases;
pub mod lessons;
mod lists;
mod mail;
pub mod mdm;
mod networks;
pub mod night;
mod notices;
pub mod password;
mod portal;
mod power;
mod rooms;
mod second_factor;
mod sessions;
pub mod software;
mod strays;
pub mod suggest;
pub mod support;
pub mod throttle;
mod tokens;
mod types;
mod users;
pub mod vault;
mod waiting;
pub mod wlan;
mod words;

pub use audience::Audience;
pub use changes::{By, Change};
pub use db::Inventory;
pub use devices::{Device, Interface, InterfaceKind, NewDevice, Observed};
pub use error::{Answer, Boxed, Error, Result};
pub use faults::{Fault, FaultEvent, FaultKind, FaultState};
pub use gate::Level;
pub use groups::Group;
pub use images::{Image, ImageVersion};
pub use jobs::{Job, JobProgress, JobResult, JobState, JobTask};
pub use leases::{HeldAddress, Lease, LeaseState};
pub use lists::{
    ALWAYS_DEFAULT, FILTER_LISTS_MAX, Filter, ListAction, NAMES_BYTES_MAX, NameList, NewList, YouTube,
};
pub use mail::{MailLogin, MailSecurity, MailSettings};
pub use networks::{DhcpMode, Network, NetworkProblem};
pub use notices::Notice;
pub use portal::Portal;
pub use power::{POWER_MILLIS, Power, PowerAsk, PowerState};
pub use rooms::Room;
pub use sessions::Session;
pub use strays::{STRAYS_MAX, Stray, StraySeen};
pub use tokens::{NewToken, TOKENS_MAX, Token};
pub use types::{
    AccessPointId, AppAssignmentId, BackupRunId, Cidr, CommandId, DeviceId, EnrolmentId, EntryId, ExamId,
    FaultId, FilterId, GroupId, Hostname, ImageId, ImportId, InvitationId, IpadRuleId, JobId, KeyFingerprint,
    ListId, MacAddr, NetworkId, ParseError, RoomId, RuleId, SlotId, TokenId, UnixMillis, UserId, VersionId,
    VoucherId, WaitingId, WishId,
};
pub use users::{Find, Found, NewPassword, Person, Role, User};
pub use waiting::{SILENT_SECS, Sighting, WAITING_MAX, Waiting, WaitingState};

#[cfg(test)]
mod testing;
