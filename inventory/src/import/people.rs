//! Lines about people.

use super::columns::{Columns, plain};
use super::problem::short;
use super::text::{self, Line};
use super::{File, FileProblem, Form, Format, Problem, Secret, What};
use crate::Role;

/// A line about a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonRow {
    /// Number of the line, from 1.
    pub line: usize,
    /// Pupil or teacher.
    pub role: Role,
    /// What the school's own system calls them.
    pub external_id: Option<String>,
    /// Name to sign in with, in lower case.
    pub login: Option<String>,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// Their classes, if the file tells of any.
    pub classes: Option<Vec<String>>,
    /// First password.
    pub password: Option<Secret>,
    /// Whether the line cannot be used. Whom it means is then left as they are.
    pub broken: bool,
}

/// Reads a file about people. Who has no role in the file gets `role`.
///
/// # Errors
/// The file as a whole cannot be used; a bad line is no such reason.
pub fn read_people(bytes: &[u8], role: Role) -> Result<File<PersonRow>, FileProblem> {
    let text = text::read(bytes)?;
    let first = text.lines.first().ok_or(FileProblem::Empty)?;
    let (columns, format, skip) = layout(first)?;
    let mut problems = text.problems;
    let mut rows = Vec::with_capacity(text.lines.len());
    for line in text.lines.iter().skip(skip) {
        let row = match format {
            Format::Heading => row(line, &columns, role, &mut problems),
            _ => linuxmuster(line, &mut problems),
        };
        rows.push(row);
    }
    let form = Form { format, encoding: text.encoding, separator: text.separator, ignored: columns.ignored };
    File::of(rows, problems, form)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Column {
    Id,
    Login,
    First,
    Last,
    Class,
    Role,
    Password,
}

/// The names of columns in exports of IServ, SchILD, WebUntis, ASV, DaNiS and UCS, and in files that people write.
const NAMES: &[(Column, &[&str])] = &[
    (
        Column::Id,
        &[
            "externeid",
            "externalid",
            "schueleridentnummer",
            "schildid",
            "schuelerid",
            "lehrerid",
            "externkey",
            "recorduid",
            "sourceduid",
            "studentid",
            "identnummer",
            "idnummer",
            "personalnummer",
            "importid",
            "id",
        ],
    ),
    (
        Column::Login,
        &[
            "login",
            "loginname",
            "anmeldename",
            "benutzername",
            "username",
            "account",
            "accountname",
            "benutzer",
            "kuerzel",
            "lehrerkuerzel",
        ],
    ),
    (
        Column::First,
        &[
            "rufname",
            "schuelerrufname",
            "vorname",
            "vornamen",
            "schuelervorname",
            "firstname",
            "forename",
            "givenname",
        ],
    ),
    (
        Column::Last,
        &[
            "nachname",
            "familienname",
            "schuelernachname",
            "zuname",
            "lastname",
            "surname",
            "familyname",
            "longname",
            "name",
        ],
    ),
    (
        Column::Class,
        &[
            "klasse",
            "klassen",
            "klassename",
            "class",
            "classes",
            "gruppebezeichnung",
            "gruppebezeichung",
            "schulklasse",
            "schoolclass",
            "schoolclasses",
        ],
    ),
    (Column::Role, &["benutzertyp", "rolle", "role", "usertype", "personentyp"]),
    (
        Column::Password,
        &[
            "passwort",
            "kennwort",
            "password",
            "erstpasswort",
            "startpasswort",
            "initialpasswort",
            "initialpassword",
        ],
    ),
];

/// linuxmuster: class or `lehrer`, last name, first name, birthday, and the id, or a teacher's name to sign in with.
const LINUXMUSTER: &[(Column, usize)] =
    &[(Column::Class, 0), (Column::Last, 1), (Column::First, 2), (Column::Id, 4)];

/// The columns, the layout, and how many lines are no people.
fn layout(first: &Line) -> Result<(Columns<Column>, Format, usize), FileProblem> {
    let columns = Columns::of_heading(first, NAMES);
    if columns.has(Column::First) && columns.has(Column::Last) {
        return Ok((columns, Format::Heading, 1));
    }
    if first.len() >= 4 && is_day(first.field(3)) {
        return Ok((Columns::fixed(LINUXMUSTER), Format::LinuxmusterPeople, 0));
    }
    Err(FileProblem::UnknownColumns("Vorname, Nachname"))
}

/// Whether a text looks like `31.12.2012`.
fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

fn row(line: &Line, columns: &Columns<Column>, role: Role, problems: &mut Vec<Problem>) -> PersonRow {
    let text = |column| columns.of(line, column).map(str::to_owned);
    let (role, no_role) = match columns.of(line, Column::Role).map(|word| (word, role_of(word))) {
        None => (role, None),
        Some((_, Some(role))) => (role, None),
        Some((word, None)) => (role, Some(What::NoRole(short(word)))),
    };
    let classes =
        columns.has(Column::Class).then(|| classes(columns.of(line, Column::Class).unwrap_or_default()));
    let mut row = PersonRow {
        line: line.number,
        role,
        external_id: text(Column::Id),
        login: text(Column::Login).map(|login| login.to_lowercase()),
        first_name: text(Column::First).unwrap_or_default(),
        last_name: text(Column::Last).unwrap_or_default(),
        classes,
        password: text(Column::Password).map(Secret),
        broken: false,
    };
    check(&mut row, no_role, problems);
    row
}

fn linuxmuster(line: &Line, problems: &mut Vec<Problem>) -> PersonRow {
    let columns = Columns::fixed(LINUXMUSTER);
    let text = |column| columns.of(line, column).map(str::to_owned);
    let class = columns.of(line, Column::Class).unwrap_or_default();
    let teacher = role_of(class) == Some(Role::Teacher);
    let fifth = text(Column::Id);
    let mut row = PersonRow {
        line: line.number,
        role: if teacher { Role::Teacher } else { Role::Pupil },
        external_id: fifth.clone().filter(|_| !teacher),
        login: fifth.filter(|_| teacher).map(|login| login.to_lowercase()),
        first_name: text(Column::First).unwrap_or_default(),
        last_name: text(Column::Last).unwrap_or_default(),
        classes: (!teacher).then(|| classes(class)),
        password: None,
        broken: false,
    };
    check(&mut row, None, problems);
    row
}

/// Says what is wrong with a row and marks it.
fn check(row: &mut PersonRow, no_role: Option<What>, problems: &mut Vec<Problem>) {
    let names = [&row.first_name, &row.last_name];
    let bad_name =
        names.into_iter().chain(row.classes.iter().flatten()).chain(&row.external_id).find(|n| !is_name(n));
    let wrong = if names.iter().any(|name| name.is_empty()) {
        Some(What::NoName)
    } else if let Some(name) = bad_name {
        Some(What::BadName(short(name)))
    } else if let Some(login) = row.login.as_ref().filter(|login| !is_login(login)) {
        Some(What::BadLogin(short(login)))
    } else {
        no_role
    };
    if let Some(what) = wrong {
        problems.push(Problem::new(row.line, what));
        row.broken = true;
    }
    if row.password.as_ref().is_some_and(|password| password.0.chars().count() < PASSWORD_CHARS_MIN) {
        problems.push(Problem::new(row.line, What::ShortPassword));
        row.password = None;
    }
}

/// Pupil or teacher, in the words of the exports.
fn role_of(word: &str) -> Option<Role> {
    match plain(word).as_str() {
        "schueler" | "schuelerin" | "schuelerinnen" | "student" | "students" | "pupil" | "pupils" | "sus" => {
            Some(Role::Pupil)
        }
        "lehrer" | "lehrerin" | "lehrerinnen" | "lehrkraft" | "lehrkraefte" | "teacher" | "teachers"
        | "teacherandstaff" => Some(Role::Teacher),
        _ => None,
    }
}

/// Several classes stand in one field, with commas between them.
fn classes(field: &str) -> Vec<String> {
    let mut classes: Vec<String> = Vec::new();
    for class in
        field.split([',', ';', '|']).map(str::trim).filter(|class| !class.is_empty()).take(CLASSES_MAX)
    {
        if !classes.iter().any(|known| known.to_lowercase() == class.to_lowercase()) {
            classes.push(class.to_owned());
        }
    }
    classes
}

fn is_name(name: &str) -> bool {
    name.chars().count() <= NAME_CHARS_MAX && !name.chars().any(char::is_control)
}

/// As [`crate::Inventory::create_user`] wants it.
fn is_login(login: &str) -> bool {
    !login.is_empty() && login.len() <= 60 && !login.chars().any(|c| c.is_control() || c.is_whitespace())
}

const NAME_CHARS_MAX: usize = 60;
const CLASSES_MAX: usize = 40;
/// As short as the pages let a password be.
pub const PASSWORD_CHARS_MIN: usize = 10;
