//! People: what is there, taking a plan over, taking it back.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Applied, Entry, ROWS_PER_STATEMENT, Step, Undone, enter, mark_undone};
use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::import::{Item, Kind, KnownPerson, People, PersonWish, Plan, Verdict};
use crate::{Answer, By, Error, GroupId, ImportId, Inventory, Result, UnixMillis, UserId};

type PersonStep = Step<UserId, KnownPerson>;
type PersonRow = (Uuid, String, String, String, String, Option<String>, Option<String>, Option<i64>);

/// What is needed to take an import of people back.
#[derive(Serialize, Deserialize)]
pub(super) struct Undo {
    steps: Vec<PersonStep>,
    /// Groups that were added.
    groups: Vec<GroupId>,
}

/// Reads people and groups with whatever executes statements.
macro_rules! read_people {
    ($db:expr) => {{
        let people: Vec<PersonRow> = sqlx::query_as(
            "SELECT id, name, first_name, last_name, role, external_id, imported_as, deactivated_at FROM users")
            .fetch_all($db).await.map_err(Error::db("list users"))?;
        let groups: Vec<(Uuid, String)> = sqlx::query_as("SELECT id, name FROM school_groups")
            .fetch_all($db).await.map_err(Error::db("list groups"))?;
        let members: Vec<(Uuid, Uuid, bool)> = sqlx::query_as("SELECT user_id, group_id, imported FROM members")
            .fetch_all($db).await.map_err(Error::db("list members"))?;
        people_of(people, groups, members)
    }};
}

/// Goes the steps: whoever is not there yet is added with a hash of `$hashes`, whoever is to be gone is deleted.
macro_rules! walk_people {
    ($tx:expr, $by:expr, $steps:expr, $hashes:expr) => {{
        let (steps, hashes): (&[PersonStep], &HashMap<UserId, &str>) = ($steps, $hashes);
        for step in steps.iter().filter(|step| step.after.is_none()) {
            sqlx::query("DELETE FROM users WHERE id = $1").bind(step.id.0)
                .execute(&mut *$tx).await.map_err(Error::db("delete a user"))?;
        }
        let fresh: Vec<(UserId, &KnownPerson)> =
            steps.iter().filter(|step| step.before.is_none()).filter_map(|step| Some((step.id, step.after.as_ref()?))).collect();
        for part in fresh.chunks(ROWS_PER_STATEMENT) {
            let mut sql = sqlx::QueryBuilder::new(
                "INSERT INTO users (id, name, first_name, last_name, role, external_id, imported_as, deactivated_at, password_hash, created_at, password_temporary) ");
            sql.push_values(part, |mut row, (id, person)| {
                row.push_bind(id.0).push_bind(person.login.clone()).push_bind(person.first_name.clone())
                    .push_bind(person.last_name.clone()).push_bind(person.role.text()).push_bind(person.external_id.clone())
                    .push_bind(person.imported_as.map(|role| role.text())).push_bind(person.deactivated_at.map(|at| at.0))
                    .push_bind(hashes.get(id).copied().unwrap_or_default().to_owned()).push_bind($by.at.0)
                    .push_bind(true);
            });
            sql.build().execute(&mut *$tx).await.map_err(taken("add people"))?;
        }
        for step in steps {
            let (Some(before), Some(after)) = (&step.before, &step.after) else { continue };
            sqlx::query(
                "UPDATE users SET name = $1, first_name = $2, last_name = $3, external_id = $4, imported_as = $5, deactivated_at = $6
                 WHERE id = $7")
                .bind(after.login.clone()).bind(after.first_name.clone()).bind(after.last_name.clone())
                .bind(after.external_id.clone()).bind(after.imported_as.map(|role| role.text()))
                .bind(after.deactivated_at.map(|at| at.0)).bind(step.id.0)
                .execute(&mut *$tx).await.map_err(taken("change a user"))?;
            if after.deactivated_at.is_some() && before.deactivated_at.is_none() {
                sqlx::query("DELETE FROM sessions WHERE user_id = $1").bind(step.id.0)
                    .execute(&mut *$tx).await.map_err(Error::db("end sessions"))?;
            }
            for group in before.groups.keys().filter(|group| !after.groups.contains_key(group)) {
                sqlx::query("DELETE FROM members WHERE group_id = $1 AND user_id = $2").bind(group.0).bind(step.id.0)
                    .execute(&mut *$tx).await.map_err(Error::db("take somebody out of a group"))?;
            }
        }
        let joins: Vec<(GroupId, UserId, bool)> = steps.iter().flat_map(joins).collect();
        for part in joins.chunks(ROWS_PER_STATEMENT) {
            let mut sql = sqlx::QueryBuilder::new("INSERT INTO members (group_id, user_id, imported) ");
            sql.push_values(part, |mut row, (group, person, imported)| {
                row.push_bind(group.0).push_bind(person.0).push_bind(*imported);
            });
            sql.build().execute(&mut *$tx).await.map_err(Error::reference("put people into groups"))?;
        }
    }};
}

impl Inventory {
    /// What a file about people is compared with.
    ///
    /// # Errors
    /// The database failed.
    pub fn people_for_import(&self) -> Answer<'_, People> {
        Box::pin(async move { on_pool!(self, pool => Ok(read_people!(pool))) })
    }

    /// Carries a plan out, if the people are still those it was made for. `hashes` are the first passwords' of the additions, in their
    /// order.
    ///
    /// # Errors
    /// A hash is missing, or the database failed. Then nothing was changed.
    pub fn apply_people<'a>(
        &'a self,
        by: By<'a>,
        (id, file_name): (ImportId, &'a str),
        school: &'a People,
        plan: &'a Plan<PersonWish>,
        hashes: &'a [String],
    ) -> Answer<'a, Applied> {
        Box::pin(async move {
            if hashes.len() != plan.counts().new {
                return Err(Error::Unusable("every new person needs the hash of a password".into()));
            }
            let added: BTreeMap<GroupId, String> =
                plan.places.iter().map(|name| (GroupId::random(), name.clone())).collect();
            let steps = steps_of(plan, school, &added, by.at);
            let fresh = steps.iter().filter(|step| step.before.is_none()).map(|step| step.id);
            let hashes: HashMap<UserId, &str> = fresh.zip(hashes.iter().map(String::as_str)).collect();
            let undo = Undo { steps, groups: added.keys().copied().collect() };
            let text = serde_json::to_string(&undo).unwrap_or_default();
            let entry =
                || Entry { id, kind: Kind::People, file_name, counts: plan.counts(), undo: text.clone() };
            in_transaction!(self, "take people over from a file", tx => {
                if read_people!(&mut *tx) != *school {
                    return Ok(Applied::Outdated);
                }
                for (group, name) in &added {
                    sqlx::query("INSERT INTO school_groups (id, name) VALUES ($1, $2)").bind(group.0).bind(name.clone())
                        .execute(&mut *tx).await.map_err(taken("add a group"))?;
                }
                walk_people!(tx, by, &undo.steps, &hashes);
                enter!(tx, by, entry());
                record!(tx, by, "user", id, "imported")?;
                Ok(Applied::Done)
            })
        })
    }

    /// Takes an import of people back.
    pub(super) async fn undo_people(&self, by: By<'_>, id: ImportId, undo: Undo) -> Result<Undone> {
        in_transaction!(self, "take an import of people back", tx => {
            mark_undone!(tx, by, id);
            let school = read_people!(&mut *tx);
            let owners: Vec<Uuid> = sqlx::query_scalar("SELECT DISTINCT owner_id FROM devices WHERE owner_id IS NOT NULL")
                .fetch_all(&mut *tx).await.map_err(Error::db("list owners"))?;
            let (steps, left) = untouched(&undo.steps, &school, &owners);
            walk_people!(tx, by, &steps, &HashMap::new());
            for group in &undo.groups {
                sqlx::query(
                    "DELETE FROM school_groups WHERE id = $1 AND level IS NULL AND list_id IS NULL AND filter_id IS NULL
                     AND NOT EXISTS (SELECT 1 FROM members m WHERE m.group_id = school_groups.id)
                     AND NOT EXISTS (SELECT 1 FROM device_groups d WHERE d.group_id = school_groups.id)")
                    .bind(group.0).execute(&mut *tx).await.map_err(Error::db("remove a group"))?;
            }
            record!(tx, by, "user", id, "import undone")?;
            Ok(Undone { restored: steps.len(), left })
        })
    }
}

/// Somebody was added between reading and writing who has the same name.
fn taken(op: &'static str) -> impl Fn(sqlx::Error) -> Error {
    Error::unique(op, || "somebody changed people or classes at the same moment; try again".into())
}

/// What is in the tables. A row that makes no sense is nobody whom a file can mean.
fn people_of(
    people: Vec<PersonRow>,
    groups: Vec<(Uuid, String)>,
    members: Vec<(Uuid, Uuid, bool)>,
) -> People {
    let person = |row: PersonRow| {
        let (id, login, first_name, last_name, role, external_id, imported_as, deactivated_at) = row;
        let person = KnownPerson {
            login,
            first_name,
            last_name,
            role: role.parse().ok()?,
            external_id,
            imported_as: imported_as.and_then(|role| role.parse().ok()),
            deactivated_at: deactivated_at.map(UnixMillis),
            groups: BTreeMap::new(),
        };
        Some((UserId(id), person))
    };
    let mut people: BTreeMap<UserId, KnownPerson> = people.into_iter().filter_map(person).collect();
    for (user, group, imported) in members {
        if let Some(person) = people.get_mut(&UserId(user)) {
            person.groups.insert(GroupId(group), imported);
        }
    }
    People { people, groups: groups.into_iter().map(|(id, name)| (GroupId(id), name)).collect() }
}

fn steps_of(
    plan: &Plan<PersonWish>,
    school: &People,
    added: &BTreeMap<GroupId, String>,
    now: UnixMillis,
) -> Vec<PersonStep> {
    let groups: HashMap<&str, GroupId> =
        school.groups.iter().chain(added).map(|(id, name)| (name.as_str(), *id)).collect();
    plan.items.iter().filter_map(|item| step(item, school, &groups, now)).collect()
}

fn step(
    item: &Item<PersonWish>,
    school: &People,
    groups: &HashMap<&str, GroupId>,
    now: UnixMillis,
) -> Option<PersonStep> {
    let wish = &item.wish;
    let before = wish.id.and_then(|id| school.people.get(&id)).cloned();
    let id = wish.id.unwrap_or_else(UserId::random);
    let after = match (item.verdict, &before) {
        (Verdict::Removed, Some(before)) => KnownPerson { deactivated_at: Some(now), ..before.clone() },
        (Verdict::New, None) | (Verdict::Changed | Verdict::Moved, Some(_)) => {
            let mut in_groups = before.as_ref().map(|person| person.groups.clone()).unwrap_or_default();
            in_groups.retain(|group, _| !wish.leave.contains(group));
            in_groups.extend(wish.join.iter().filter_map(|name| Some((*groups.get(name.as_str())?, true))));
            KnownPerson {
                login: wish.login.clone(),
                first_name: wish.first_name.clone(),
                last_name: wish.last_name.clone(),
                role: wish.role,
                external_id: wish.external_id.clone(),
                imported_as: before.as_ref().map_or(Some(wish.role), |person| person.imported_as),
                deactivated_at: None,
                groups: in_groups,
            }
        }
        // A plan for other people.
        _ => return None,
    };
    Some(Step { id, before, after: Some(after) })
}

/// Groups that a step puts somebody into.
fn joins(step: &PersonStep) -> Vec<(GroupId, UserId, bool)> {
    let Some(after) = &step.after else { return Vec::new() };
    let is_new =
        |group: &GroupId| step.before.as_ref().is_none_or(|before| !before.groups.contains_key(group));
    let groups = after.groups.iter().filter(|(group, _)| is_new(group));
    groups.map(|(group, imported)| (*group, step.id, *imported)).collect()
}

/// The steps back of those who are still what the import made of them, and what the others are called.
fn untouched(steps: &[PersonStep], school: &People, owners: &[Uuid]) -> (Vec<PersonStep>, Vec<String>) {
    let logins: HashMap<&str, UserId> =
        school.people.iter().map(|(id, person)| (person.login.as_str(), *id)).collect();
    let (mut back, mut left) = (Vec::new(), Vec::new());
    for step in steps {
        let same = school.people.get(&step.id) == step.after.as_ref();
        let possible = match &step.before {
            None => !owners.contains(&step.id.0),
            Some(before) => {
                logins.get(before.login.as_str()).is_none_or(|holder| *holder == step.id)
                    && before.groups.keys().all(|group| school.groups.contains_key(group))
            }
        };
        if same && possible {
            back.push(step.clone().back());
        } else {
            left.extend(step.after.as_ref().or(step.before.as_ref()).map(KnownPerson::label));
        }
    }
    (back, left)
}
