//! What a file about people would change.
//!
//! Whom a line means: whoever has its id; else whoever has its name to sign in with; else whoever has its first and last name, if that is
//! one person (or one in the class that the line names) and none of the two has another id. Birthdays are not stored, so two people of one
//! name without ids are told apart by nothing: both lines are refused.
//!
//! A line is about pupils or about teachers and never touches anybody else: who was made an admin stays as they are, whatever the file says.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::logins::{Logins, same};
use super::people::PersonRow;
use super::plan::note;
use super::problem::short;
use super::{Change, Field, File, Item, Options, Plan, Problem, Secret, What};
use crate::{GroupId, Role, UnixMillis, UserId};

/// The people and classes of the school.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    /// The people.
    pub people: BTreeMap<UserId, KnownPerson>,
    /// The classes and other groups.
    pub groups: BTreeMap<GroupId, String>,
}

/// A person of the school, as far as a file can change them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPerson {
    /// Name to sign in with.
    pub login: String,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// What they may do.
    pub role: Role,
    /// What the school's own system calls them.
    pub external_id: Option<String>,
    /// The role that a file gave them.
    pub imported_as: Option<Role>,
    /// Since when they may not sign in.
    pub deactivated_at: Option<UnixMillis>,
    /// Their groups, each with whether a file put them there.
    pub groups: BTreeMap<GroupId, bool>,
}

impl KnownPerson {
    /// What people call them.
    #[must_use]
    pub fn label(&self) -> String {
        label(&self.first_name, &self.last_name, &self.login)
    }
}

/// What is written for a person. Groups are named; those that do not exist are among the plan's places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonWish {
    /// Who; nobody yet for an addition.
    pub id: Option<UserId>,
    /// Pupil or teacher.
    pub role: Role,
    /// Name to sign in with.
    pub login: String,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// What the school's own system calls them.
    pub external_id: Option<String>,
    /// Groups to put them into.
    pub join: Vec<String>,
    /// Groups to take them out of.
    pub leave: Vec<GroupId>,
    /// First password, if the file has one; only of an addition.
    pub password: Option<Secret>,
}

/// Compares a file with the school.
#[must_use]
pub fn plan_people(file: &File<PersonRow>, school: &People, options: Options) -> Plan<PersonWish> {
    let mut planner = Planner::new(file, school);
    let usable = planner.usable_rows(&file.rows);
    let meant = planner.find(&usable);
    planner.plan(&usable, &meant);
    planner.remove(&file.rows, options);
    planner.finish()
}

type Name = (Role, String, String);

struct Planner<'a> {
    school: &'a People,
    by_id: HashMap<(Role, &'a str), UserId>,
    by_login: HashMap<&'a str, UserId>,
    by_name: HashMap<Name, Vec<UserId>>,
    /// Names of groups in lower case.
    groups: HashMap<String, GroupId>,
    logins: Logins,
    /// People whom a line means, with that line.
    claimed: HashMap<UserId, usize>,
    /// People whom a line may mean that cannot be used.
    spared: HashSet<UserId>,
    plan: Plan<PersonWish>,
    /// New groups, by their name in lower case.
    places: HashMap<String, String>,
}

impl<'a> Planner<'a> {
    fn new(file: &File<PersonRow>, school: &'a People) -> Self {
        let (mut by_id, mut by_login, mut by_name) = (HashMap::new(), HashMap::new(), HashMap::new());
        for (id, person) in &school.people {
            by_login.insert(person.login.as_str(), *id);
            for role in [Some(person.role), person.imported_as].into_iter().flatten().collect::<HashSet<_>>()
            {
                if let Some(external) = &person.external_id {
                    by_id.insert((role, external.as_str()), *id);
                }
                let name = (role, same(&person.first_name), same(&person.last_name));
                by_name.entry(name).or_insert_with(Vec::new).push(*id);
            }
        }
        let given = file.rows.iter().filter_map(|row| row.login.clone());
        let logins = Logins::new(given.chain(school.people.values().map(|person| person.login.clone())));
        let groups = school.groups.iter().map(|(id, name)| (name.to_lowercase(), *id)).collect();
        let plan = Plan {
            items: Vec::new(),
            places: Vec::new(),
            unchanged: 0,
            of_kind: 0,
            problems: file.problems.clone(),
        };
        let (claimed, spared, places) = (HashMap::new(), HashSet::new(), HashMap::new());
        Self { school, by_id, by_login, by_name, groups, logins, claimed, spared, plan, places }
    }

    fn refuse(&mut self, problem: Problem, row: &PersonRow) {
        self.plan.problems.push(problem);
        self.spare(row);
    }

    /// Leaves everybody alone whom a row may mean.
    fn spare(&mut self, row: &PersonRow) {
        let by_id = row.external_id.as_deref().and_then(|id| self.by_id.get(&(row.role, id)));
        let by_login = row.login.as_deref().and_then(|login| self.by_login.get(login));
        self.spared.extend(by_id.into_iter().chain(by_login));
        // A line without an id may mean anybody of that name.
        if row.external_id.is_none() {
            self.spared.extend(self.by_name.get(&name(row)).into_iter().flatten());
        }
    }

    /// Rows that do not contradict each other.
    fn usable_rows<'r>(&mut self, rows: &'r [PersonRow]) -> Vec<&'r PersonRow> {
        let mut ids: HashMap<(Role, &str), usize> = HashMap::new();
        let mut logins: HashMap<&str, usize> = HashMap::new();
        let mut names: HashMap<Name, Vec<usize>> = HashMap::new();
        for row in rows.iter().filter(|row| !row.broken && row.external_id.is_none() && row.login.is_none()) {
            names.entry(name(row)).or_default().push(row.line);
        }
        let mut usable = Vec::with_capacity(rows.len());
        for row in rows {
            if row.broken {
                self.spare(row);
                continue;
            }
            let same_id =
                row.external_id.as_deref().and_then(|id| ids.get(&(row.role, id)).map(|line| (id, *line)));
            let same_login =
                row.login.as_deref().and_then(|login| logins.get(login).map(|line| (login, *line)));
            let alike = names.get(&name(row)).filter(|_| row.external_id.is_none() && row.login.is_none());
            let namesake = alike.and_then(|lines| lines.iter().find(|line| **line != row.line));
            let problem = match (same_id, same_login, namesake) {
                (Some((id, line)), ..) => Some(Problem::twice(row.line, line, What::SameId(short(id)))),
                (_, Some((login, line)), _) => {
                    Some(Problem::twice(row.line, line, What::SameLogin(short(login))))
                }
                (.., Some(line)) => Some(Problem::twice(row.line, *line, What::Namesakes)),
                _ => None,
            };
            if let Some(problem) = problem {
                self.refuse(problem, row);
                continue;
            }
            ids.extend(row.external_id.as_deref().map(|id| ((row.role, id), row.line)));
            logins.extend(row.login.as_deref().map(|login| (login, row.line)));
            usable.push(row);
        }
        usable
    }

    /// Whom each row means: somebody, nobody yet, or it cannot be said.
    fn find(&mut self, rows: &[&PersonRow]) -> Vec<Option<Option<UserId>>> {
        // Ids and names to sign in with come first, so that nobody is found by name whom another line names for certain.
        let mut meant: Vec<Option<Option<UserId>>> = Vec::with_capacity(rows.len());
        for row in rows {
            let found = self.by_key(row);
            meant.push(self.claim(row, found));
        }
        for (row, meant) in rows.iter().zip(&mut meant) {
            if *meant == Some(None) {
                let found = self.by_full_name(row);
                *meant = self.claim(row, found);
            }
        }
        meant
    }

    /// Keeps in mind whom a row means, and that no two mean the same person.
    fn claim(&mut self, row: &PersonRow, found: Result<Option<UserId>, What>) -> Option<Option<UserId>> {
        let problem = match found {
            Ok(None) => return Some(None),
            Ok(Some(id)) => match self.claimed.get(&id) {
                None => {
                    self.claimed.insert(id, row.line);
                    return Some(Some(id));
                }
                Some(line) => Problem::twice(row.line, *line, What::SamePerson),
            },
            Err(what) => Problem::new(row.line, what),
        };
        self.refuse(problem, row);
        None
    }

    fn by_key(&self, row: &PersonRow) -> Result<Option<UserId>, What> {
        let by_id = row.external_id.as_deref().and_then(|id| self.by_id.get(&(row.role, id)).copied());
        let by_login = row.login.as_deref().and_then(|login| self.by_login.get(login).copied());
        let taken = || Err(What::LoginTaken(short(row.login.as_deref().unwrap_or_default())));
        match (by_id, by_login) {
            (Some(id), Some(other)) if id != other => taken(),
            (Some(id), _) => Ok(Some(id)),
            (None, Some(id)) => {
                let Some(person) = self.school.people.get(&id) else { return Ok(None) };
                if fits(person, row) { Ok(Some(id)) } else { taken() }
            }
            (None, None) => Ok(None),
        }
    }

    fn by_full_name(&self, row: &PersonRow) -> Result<Option<UserId>, What> {
        let known = self.by_name.get(&name(row)).map(Vec::as_slice).unwrap_or_default();
        if known.len() > NAMESAKES_MAX {
            return Err(What::WhichPerson);
        }
        let free = |id: &&UserId| {
            !self.claimed.contains_key(id)
                && self.school.people.get(id).is_some_and(|person| fits(person, row))
        };
        let found: Vec<UserId> = known.iter().filter(free).copied().collect();
        if let [] | [_] = found.as_slice() {
            return Ok(found.first().copied());
        }
        let classes: Vec<GroupId> = row
            .classes
            .iter()
            .flatten()
            .filter_map(|class| self.groups.get(&class.to_lowercase()).copied())
            .collect();
        let in_class = |id: &&UserId| {
            self.school
                .people
                .get(id)
                .is_some_and(|person| classes.iter().any(|class| person.groups.contains_key(class)))
        };
        match found.iter().filter(in_class).copied().collect::<Vec<_>>().as_slice() {
            [only] => Ok(Some(*only)),
            _ => Err(What::WhichPerson),
        }
    }

    fn plan(&mut self, rows: &[&PersonRow], meant: &[Option<Option<UserId>>]) {
        for (row, meant) in rows.iter().zip(meant) {
            match meant {
                None => {}
                Some(None) => self.add(row),
                Some(Some(id)) => self.change(row, *id),
            }
        }
    }

    fn add(&mut self, row: &PersonRow) {
        let login = row.login.clone().unwrap_or_else(|| self.logins.of(&row.first_name, &row.last_name));
        let join: Vec<String> = row.classes.iter().flatten().map(|class| self.place(class)).collect();
        let mut changes = Vec::new();
        note(&mut changes, Field::Login, "", &login);
        note(&mut changes, Field::ExternalId, "", row.external_id.as_deref().unwrap_or_default());
        note(&mut changes, Field::Classes, "", &join.join(", "));
        let wish = PersonWish {
            id: None,
            role: row.role,
            login,
            first_name: row.first_name.clone(),
            last_name: row.last_name.clone(),
            external_id: row.external_id.clone(),
            join,
            leave: Vec::new(),
            password: row.password.clone(),
        };
        let label = label(&row.first_name, &row.last_name, &wish.login);
        self.plan.items.push(Item::new(row.line, label, changes, wish));
    }

    fn change(&mut self, row: &PersonRow, id: UserId) {
        let school = self.school;
        let Some(person) = school.people.get(&id) else { return };
        // Whoever was given another role is no business of a list of pupils or teachers.
        if person.role != row.role {
            self.plan.unchanged += 1;
            return;
        }
        let (join, leave) = self.classes(row, person);
        let wish = PersonWish {
            id: Some(id),
            role: row.role,
            login: row.login.clone().unwrap_or_else(|| person.login.clone()),
            first_name: row.first_name.clone(),
            last_name: row.last_name.clone(),
            external_id: row.external_id.clone().or_else(|| person.external_id.clone()),
            join,
            leave,
            password: None,
        };
        let changes = self.differences(person, &wish);
        if changes.is_empty() {
            self.plan.unchanged += 1;
        } else {
            self.plan.items.push(Item::changed(row.line, person.label(), changes, wish));
        }
    }

    /// Groups to join and to leave. A person stays in groups that a person put them into.
    fn classes(&mut self, row: &PersonRow, person: &KnownPerson) -> (Vec<String>, Vec<GroupId>) {
        let Some(classes) = &row.classes else { return (Vec::new(), Vec::new()) };
        let wanted: BTreeSet<String> = classes.iter().map(|class| class.to_lowercase()).collect();
        let is_in = |class: &String| {
            self.groups.get(&class.to_lowercase()).is_some_and(|group| person.groups.contains_key(group))
        };
        let missing: Vec<String> = classes.iter().filter(|class| !is_in(class)).cloned().collect();
        let still = |group: &GroupId| {
            self.school.groups.get(group).is_some_and(|name| wanted.contains(&name.to_lowercase()))
        };
        let leave = person
            .groups
            .iter()
            .filter(|(group, imported)| **imported && !still(group))
            .map(|(group, _)| *group)
            .collect();
        (missing.iter().map(|class| self.place(class)).collect(), leave)
    }

    fn differences(&self, person: &KnownPerson, wish: &PersonWish) -> Vec<Change> {
        let mut changes = Vec::new();
        let id = |id: &Option<String>| id.clone().unwrap_or_default();
        note(&mut changes, Field::FirstName, &person.first_name, &wish.first_name);
        note(&mut changes, Field::LastName, &person.last_name, &wish.last_name);
        note(&mut changes, Field::Login, &person.login, &wish.login);
        note(&mut changes, Field::ExternalId, &id(&person.external_id), &id(&wish.external_id));
        if person.deactivated_at.is_some() {
            changes.push(Change { field: Field::Returns, from: String::new(), to: String::new() });
        }
        let left: Vec<&str> =
            wish.leave.iter().filter_map(|group| self.school.groups.get(group)).map(String::as_str).collect();
        note(&mut changes, Field::Classes, &left.join(", "), &wish.join.join(", "));
        changes
    }

    /// The group's own spelling of a name; a group that does not exist is one of the plan's places.
    fn place(&mut self, class: &str) -> String {
        let key = class.to_lowercase();
        let known = self.groups.get(&key).and_then(|group| self.school.groups.get(group));
        if let Some(name) = known.or_else(|| self.places.get(&key)) {
            return name.clone();
        }
        self.plan.places.push(class.to_owned());
        self.places.insert(key, class.to_owned());
        class.to_owned()
    }

    /// Whoever an earlier file brought, and no line of this one means. Only roles that the file is about.
    fn remove(&mut self, rows: &[PersonRow], options: Options) {
        let roles: HashSet<Role> = rows.iter().filter(|row| !row.broken).map(|row| row.role).collect();
        let due = |person: &KnownPerson| {
            person.imported_as == Some(person.role)
                && roles.contains(&person.role)
                && person.deactivated_at.is_none()
        };
        let mut removed: Vec<Item<PersonWish>> = Vec::new();
        for (id, person) in self.school.people.iter().filter(|(_, person)| due(person)) {
            self.plan.of_kind += 1;
            if options.complete && !self.claimed.contains_key(id) && !self.spared.contains(id) {
                removed.push(Item::removed(person.label(), PersonWish::of(*id, person)));
            }
        }
        removed.sort_by(|a, b| a.label.cmp(&b.label));
        self.plan.items.append(&mut removed);
    }

    fn finish(mut self) -> Plan<PersonWish> {
        self.plan.problems.sort_by_key(|problem| problem.line);
        self.plan
    }
}

impl PersonWish {
    fn of(id: UserId, person: &KnownPerson) -> Self {
        Self {
            id: Some(id),
            role: person.role,
            login: person.login.clone(),
            first_name: person.first_name.clone(),
            last_name: person.last_name.clone(),
            external_id: person.external_id.clone(),
            join: Vec::new(),
            leave: Vec::new(),
            password: None,
        }
    }
}

/// Whether a row without that person's id can mean them.
fn fits(person: &KnownPerson, row: &PersonRow) -> bool {
    let role = person.role == row.role || person.imported_as == Some(row.role);
    role && (person.external_id.is_none() || row.external_id.is_none())
}

fn name(row: &PersonRow) -> Name {
    (row.role, same(&row.first_name), same(&row.last_name))
}

fn label(first: &str, last: &str, login: &str) -> String {
    let full = format!("{first} {last}");
    if full.trim().is_empty() { login.to_owned() } else { full.trim().to_owned() }
}

/// People of one name that are still told apart.
const NAMESAKES_MAX: usize = 16;
