//! What can be done with people's accounts, the same for pages and API, each with its check of who may do it to whom.

use inventory::{GroupId, NewPassword, Role, User, UserId};

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::problem::Problem;
use crate::{rights, spoken};

/// Somebody who was added.
pub(crate) struct Added {
    pub(crate) id: UserId,
    /// The password, if it was made up: shown once, and to be replaced at the first sign-in.
    pub(crate) password: Option<String>,
}

/// Adds a pupil or a teacher. Other roles are given afterwards, so that there is one place that gives them.
pub(crate) async fn add(
    app: &App,
    me: &SignedIn,
    name: &str,
    role: Role,
    password: Option<&str>,
) -> Answer<Added> {
    if !rights::is_common(role) {
        return Err(Failure::field("role", Problem::RoleLater));
    }
    let by = me.by();
    let at_name = |error| match Failure::from(error) {
        Failure::Refused(problem) => Failure::field("name", problem),
        other => other,
    };
    if let Some(password) = password {
        let hash = hash(app, "password", password).await?;
        let id = app.inventory.create_user(by, name, &hash, role).await.map_err(at_name)?;
        return Ok(Added { id, password: None });
    }
    let password = spoken::password();
    let hash = hash(app, "password", &password).await?;
    let id =
        app.inventory.create_user_with_temporary_password(by, name, &hash, role).await.map_err(at_name)?;
    Ok(Added { id, password: Some(password) })
}

/// Somebody whom the caller may change.
pub(crate) async fn managed(app: &App, me: &SignedIn, id: UserId) -> Answer<User> {
    let user = person(app, id).await?;
    if me.manages(user.role) { Ok(user) } else { Err(Failure::Forbidden) }
}

/// The person, or [`Failure::Gone`].
pub(crate) async fn person(app: &App, id: UserId) -> Answer<User> {
    app.inventory.user(id).await?.ok_or(Failure::Gone)
}

/// Gives somebody another name to sign in with.
pub(crate) async fn rename(app: &App, me: &SignedIn, id: UserId, name: &str) -> Answer<()> {
    managed(app, me, id).await?;
    app.inventory.rename_user(me.by(), id, name).await.map_err(|error| match Failure::from(error) {
        Failure::Refused(problem) => Failure::field("name", problem),
        other => other,
    })
}

/// Gives somebody another role. Roles beyond teacher and pupil are given and taken by admins; nobody changes the own one.
pub(crate) async fn set_role(app: &App, me: &SignedIn, id: UserId, role: Role) -> Answer<()> {
    let user = managed(app, me, id).await?;
    if !me.manages(role) {
        return Err(Failure::Forbidden);
    }
    not_oneself(me, &user)?;
    Ok(app.inventory.set_role(me.by(), id, role).await?)
}

/// Removes somebody; their sessions end.
pub(crate) async fn remove(app: &App, me: &SignedIn, id: UserId) -> Answer<User> {
    let user = managed(app, me, id).await?;
    not_oneself(me, &user)?;
    app.inventory.delete_user(me.by(), id).await?;
    Ok(user)
}

/// Gives somebody a made-up password; returns it. Their sessions end, and they choose an own one at the next sign-in.
pub(crate) async fn reset(app: &App, me: &SignedIn, id: UserId) -> Answer<(User, String)> {
    let user = managed(app, me, id).await?;
    not_oneself(me, &user)?;
    give_password(app, me, user).await
}

/// As [`reset`], for a pupil of a class that the caller teaches.
pub(crate) async fn reset_pupil(
    app: &App,
    me: &SignedIn,
    class: GroupId,
    id: UserId,
) -> Answer<(User, String)> {
    let pupils = pupils(app, me, class).await?;
    let user = pupils.into_iter().find(|pupil| pupil.id == id).ok_or(Failure::Forbidden)?;
    give_password(app, me, user).await
}

/// The pupils of a class that the caller teaches; of any class for an admin.
pub(crate) async fn pupils(app: &App, me: &SignedIn, class: GroupId) -> Answer<Vec<User>> {
    let teaches = || async {
        Ok::<_, Failure>(app.inventory.groups_of(me.user.id).await?.iter().any(|mine| mine.id == class))
    };
    if me.user.role != Role::SchoolAdmin && !teaches().await? {
        return Err(Failure::Forbidden);
    }
    let find = inventory::Find {
        role: Some(Role::Pupil),
        group: Some(class),
        limit: CLASS_MAX,
        ..Default::default()
    };
    Ok(app.inventory.find_people(find).await?.people.into_iter().map(|person| person.user).collect())
}

/// Takes somebody's second factor away, for example because the phone is lost.
pub(crate) async fn clear_second_factor(app: &App, me: &SignedIn, id: UserId) -> Answer<()> {
    managed(app, me, id).await?;
    Ok(app.inventory.clear_totp(me.by(), id).await?)
}

/// Replaces the caller's own password; other sessions end.
pub(crate) async fn change_own(app: &App, me: &SignedIn, old: &str, new: &str) -> Answer<()> {
    if old == new {
        return Err(Failure::field("new", Problem::SamePassword));
    }
    let hash = hash(app, "new", new).await?;
    let new = NewPassword { hash: &hash, temporary: false, keep_session: Some(&me.session) };
    Ok(app.inventory.set_password(me.by(), me.user.id, new).await?)
}

async fn give_password(app: &App, me: &SignedIn, user: User) -> Answer<(User, String)> {
    let password = spoken::password();
    let hash = hash(app, "password", &password).await?;
    let new = NewPassword { hash: &hash, temporary: true, keep_session: None };
    app.inventory.set_password(me.by(), user.id, new).await?;
    Ok((user, password))
}

async fn hash(app: &App, field: &'static str, password: &str) -> Answer<String> {
    let hash = app.passwords.hash(password).await.map_err(|_| Failure::Busy)?;
    hash.map_err(|error| Failure::field(field, Problem::Password(error)))
}

fn not_oneself(me: &SignedIn, user: &User) -> Answer<()> {
    if me.user.id == user.id { Err(Failure::Refused(Problem::Yourself)) } else { Ok(()) }
}

/// The names in a text, separated by spaces, commas or line ends, as people.
pub(crate) async fn named(app: &App, text: &str) -> Answer<Vec<UserId>> {
    let mut people = Vec::new();
    for name in names(text) {
        let user = app.inventory.user_by_name(name).await?;
        let unknown = || Failure::field("people", Problem::NoPerson(name.chars().take(60).collect()));
        people.push(user.ok_or_else(unknown)?.id);
    }
    Ok(people)
}

/// The names in a text, separated by spaces, commas or line ends; at most as many as a class may have.
pub(crate) fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',', ';', '\n', '\r', '\t']).filter(|name| !name.is_empty()).take(CLASS_MAX as usize)
}

/// Most pupils of a class that are shown; a year's group has them too.
pub(crate) const CLASS_MAX: u32 = 500;
