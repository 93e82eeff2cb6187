//! Exams: who may begin one, and what is known of it. Pages and API meet here.

use std::collections::BTreeSet;
use std::net::IpAddr;

use inventory::gate::{Exam, NewExam, Sitting, Target};
use inventory::{ExamId, ListId, NewList, Role, UnixMillis, clock};
use ipados::values::BundleId;
use serde::Deserialize;

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::format;
use crate::lessons;

/// An exam as somebody wishes it.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExamWish {
    pub(crate) name: String,
    /// Rooms and classes.
    pub(crate) targets: Vec<Target>,
    /// The allow list.
    #[serde(default)]
    pub(crate) list: Option<ListId>,
    /// Names to allow in place of a list; they become a list of their own.
    #[serde(default)]
    pub(crate) names: String,
    /// The apps that iPads are left with (bundle identifiers): one fills the screen, several are all that opens; without any, iPads stay
    /// as they are.
    #[serde(default)]
    #[schemars(with = "BTreeSet<String>")]
    pub(crate) apps: BTreeSet<BundleId>,
    pub(crate) ends_at: UnixMillis,
}

/// Begins an exam, if the person may say what holds for everybody who is to sit it.
pub(crate) async fn begin(app: &App, me: &SignedIn, address: IpAddr, wish: &ExamWish) -> Answer<ExamId> {
    for target in &wish.targets {
        lessons::allow(app, me, address, *target).await?;
    }
    lessons::until_midnight("ends_at", wish.ends_at)?;
    let list = match wish.names.trim() {
        "" => wish.list,
        names => Some(own_list(app, me, &wish.name, names).await?),
    };
    let new =
        NewExam { name: &wish.name, targets: &wish.targets, list, apps: &wish.apps, ends_at: wish.ends_at };
    Ok(app.inventory.begin_exam(me.by(), &new).await?)
}

async fn own_list(app: &App, me: &SignedIn, exam: &str, names: &str) -> Answer<ListId> {
    let (id, by) = (ListId::random(), me.by());
    // Long enough to be told apart, and never longer than a list's name may be.
    let name: String = format!("{} {}", format::stamp(by.at), exam.trim()).chars().take(60).collect();
    app.inventory.put_name_list(by, id, &NewList { name: &name, source: None, names }).await?;
    Ok(id)
}

/// Lets an exam end at another time, at once if that time is over: whoever began it may, and whoever may begin it.
pub(crate) async fn set_end(
    app: &App,
    me: &SignedIn,
    address: IpAddr,
    id: ExamId,
    ends_at: UnixMillis,
) -> Answer<()> {
    let exam = find(app, id).await?;
    if exam.created_by != me.user.name && me.user.role != Role::SchoolAdmin {
        for target in &exam.targets {
            lessons::allow(app, me, address, *target).await?;
        }
    }
    lessons::until_midnight("ends_at", ends_at)?;
    Ok(app.inventory.set_exam_end(me.by(), id, ends_at).await?)
}

/// An exam, as far as the person may know of it: everybody who may begin one may see that it runs, its protocol is for whoever began it and
/// for those who answer for the school.
pub(crate) async fn protocol(app: &App, me: &SignedIn, id: ExamId) -> Answer<(Exam, Vec<Sitting>)> {
    let exam = find(app, id).await?;
    if !may_read(me, &exam) {
        return Err(Failure::Forbidden);
    }
    let sittings = app.inventory.sittings(id).await?;
    Ok((exam, sittings))
}

/// Whether somebody may read the protocol of an exam.
pub(crate) fn may_read(me: &SignedIn, exam: &Exam) -> bool {
    exam.created_by == me.user.name || matches!(me.user.role, Role::SchoolAdmin | Role::HeadTeacher)
}

/// Whether an exam runs.
pub(crate) fn runs(exam: &Exam) -> bool {
    clock::now() < exam.ends_at
}

async fn find(app: &App, id: ExamId) -> Answer<Exam> {
    app.inventory.exam(id).await?.ok_or(Failure::Gone)
}
