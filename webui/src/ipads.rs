//! What can be done with iPads, the same for pages and API.

use inventory::mdm::{Action, NewInvitation};
use inventory::{DeviceId, EnrolmentId, GroupId, InvitationId, RoomId};

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::problem::Problem;
use crate::session;

/// An invitation as somebody wishes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    /// The one device it is for.
    pub(crate) device: Option<DeviceId>,
    pub(crate) room: RoomId,
    pub(crate) group: Option<GroupId>,
    /// How many iPads may come.
    pub(crate) uses: u32,
    /// How many days it holds: 1 to [`DAYS_MAX`].
    pub(crate) days: u32,
}

/// Makes an invitation; returns its id and its link, which nobody can see again.
pub(crate) async fn invite(app: &App, me: &SignedIn, wish: Wish) -> Answer<(InvitationId, String)> {
    let url = app.school.mdm_url.as_ref().ok_or(Failure::Refused(Problem::NoMdm))?;
    if !(1..=DAYS_MAX).contains(&wish.days) {
        return Err(Failure::field("days", Problem::NoChoice(wish.days.to_string())));
    }
    let (token, by) = (session::fresh_token(), me.by());
    let new = NewInvitation {
        hash: &session::token_hash(&token),
        device: wish.device,
        room: wish.room,
        group: wish.group,
        uses: wish.uses,
        ends_at: by.at.plus_secs(u64::from(wish.days) * 86_400),
    };
    let id = app.inventory.create_invitation(by, new).await?;
    Ok((id, format!("{}/enrol/{token}", url.as_str())))
}

/// Asks something of an iPad. Returns whether it will hear of it: what is asked already is not asked twice.
pub(crate) async fn ask(
    app: &App,
    me: &SignedIn,
    ipad: EnrolmentId,
    action: &Action,
    reason: &str,
) -> Answer<bool> {
    if action.needs_reason() && reason.trim().is_empty() {
        return Err(Failure::field("reason", Problem::Missing));
    }
    app.inventory.enrolment(ipad).await?.ok_or(Failure::Gone)?;
    let by = me.by();
    let ends_at = by.at.plus_secs(ASKED_SECS);
    Ok(app.inventory.ask_ipads(by, &[ipad], action, reason.trim(), ends_at).await? > 0)
}

/// Asks something harmless of several iPads, as of a class; returns how many will hear of it.
pub(crate) async fn ask_all(
    app: &App,
    me: &SignedIn,
    ipads: &[EnrolmentId],
    action: &Action,
) -> Answer<usize> {
    if action.needs_reason() {
        return Err(Failure::field("action", Problem::NeedsReason));
    }
    if ipads.len() > ASKED_MAX {
        return Err(Failure::field("ipads", Problem::NoChoice(ipads.len().to_string())));
    }
    let by = me.by();
    Ok(app.inventory.ask_ipads(by, ipads, action, "", by.at.plus_secs(ASKED_SECS)).await?)
}

/// Longest life of an invitation.
pub(crate) const DAYS_MAX: u32 = 60;
/// Most iPads of one question.
const ASKED_MAX: usize = 1000;
/// How long the MDM server may take to make a command of what is asked. How long the command lives is another question.
const ASKED_SECS: u64 = 86_400;
