//! E-mail: its settings, the same for page and API, and a message to try them.

mod letters;
pub(crate) mod post;

use inventory::{MailLogin, MailSecurity, MailSettings, clock};
use lettre::message::Mailbox;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::problem::Problem;

/// How e-mail is sent, as it is read.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Mail {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: MailSecurity,
    /// The account of the mail server; nobody signs in if absent.
    pub(crate) username: Option<String>,
    /// An address, or `Name <address>`.
    pub(crate) sender: String,
    pub(crate) recipients: Vec<String>,
    /// Whether the morning report is sent.
    pub(crate) report: bool,
    /// Whether what is not in order is sent.
    pub(crate) alerts: bool,
}

/// How e-mail is to be sent.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: MailSecurity,
    pub(crate) username: Option<String>,
    /// The one that is known stays if none is given, as long as server and account stay.
    pub(crate) password: Option<String>,
    pub(crate) sender: String,
    pub(crate) recipients: Vec<String>,
    #[serde(default)]
    pub(crate) report: bool,
    #[serde(default)]
    pub(crate) alerts: bool,
}

/// How e-mail is sent; none if it is not.
pub(crate) async fn read(app: &App) -> Answer<Option<Mail>> {
    Ok(app.inventory.mail_settings().await?.map(|mail| Mail {
        host: mail.host,
        port: mail.port,
        security: mail.security,
        username: mail.login.map(|login| login.username),
        sender: mail.sender,
        recipients: mail.recipients,
        report: mail.report,
        alerts: mail.alerts,
    }))
}

/// Saves how e-mail is sent.
pub(crate) async fn save(app: &App, me: &SignedIn, wish: Wish) -> Answer<()> {
    let known = app.inventory.mail_settings().await?;
    let mail = settings(app, known.and_then(|mail| mail.login), wish)?;
    Ok(app.inventory.set_mail_settings(me.by(), &mail).await?)
}

/// Sends a message to all recipients, or says why that does not work.
pub(crate) async fn test(app: &App) -> Answer<usize> {
    let mail = app.inventory.mail_settings().await?.ok_or(Failure::Gone)?;
    let failed = |error: post::MailError| Failure::Refused(Problem::Mail(error.to_string()));
    let now = clock::now();
    let office = post::Office::open(&mail, app).map_err(failed)?;
    for recipient in &mail.recipients {
        office
            .send(&letters::trial(app.school.lang, &app.school.name, recipient, now))
            .await
            .map_err(failed)?;
    }
    Ok(mail.recipients.len())
}

fn settings(app: &App, known: Option<MailLogin>, wish: Wish) -> Answer<MailSettings> {
    let mut problems = Vec::new();
    let host = wish.host.trim().to_ascii_lowercase();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':');
    match host.as_str() {
        "" => problems.push(("host", Problem::Missing)),
        text if text.len() > HOST_CHARS_MAX || !text.bytes().all(allowed) => {
            problems.push(("host", Problem::NoMailServer(host.clone())));
        }
        _ => {}
    }
    if wish.port == 0 {
        problems.push(("port", Problem::NoNumber("0".into())));
    }
    if let Err(problem) = mailbox(&wish.sender) {
        problems.push(("sender", problem));
    }
    let mut recipients: Vec<String> = wish.recipients.iter().map(|text| text.trim().to_owned()).collect();
    recipients.retain(|text| !text.is_empty());
    recipients.dedup();
    match recipients.iter().find_map(|text| mailbox(text).err()) {
        _ if recipients.is_empty() => problems.push(("recipients", Problem::Missing)),
        Some(problem) => problems.push(("recipients", problem)),
        None if recipients.len() > RECIPIENTS_MAX => {
            problems.push(("recipients", Problem::NoNumber(recipients.len().to_string())));
        }
        None => {}
    }
    let login = match login(app, known, &host, &wish) {
        Ok(login) => login,
        Err(problem) => {
            problems.push(("password", problem));
            None
        }
    };
    if !problems.is_empty() {
        return Err(Failure::Input(problems));
    }
    Ok(MailSettings {
        host,
        port: wish.port,
        security: wish.security,
        login,
        sender: wish.sender.trim().to_owned(),
        recipients,
        report: wish.report,
        alerts: wish.alerts,
    })
}

/// The account, with a password that is given or was known for the same account of the same server.
fn login(app: &App, known: Option<MailLogin>, host: &str, wish: &Wish) -> Result<Option<MailLogin>, Problem> {
    let Some(username) = wish.username.as_deref().map(str::trim).filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    if wish.security == MailSecurity::None {
        return Err(Problem::MailUnprotected);
    }
    let owner = owner(host, wish.port, username);
    let given = wish.password.as_deref().filter(|password| !password.is_empty());
    let sealed_password = match (given, known) {
        (Some(password), _) => app.vault.seal(owner.as_bytes(), password.as_bytes()),
        (None, Some(known)) if app.vault.unseal(owner.as_bytes(), &known.sealed_password).is_some() => {
            Some(known.sealed_password)
        }
        (None, _) => None,
    };
    let sealed_password = sealed_password.ok_or(Problem::MailPasswordNeeded)?;
    Ok(Some(MailLogin { username: username.to_owned(), sealed_password }))
}

fn mailbox(text: &str) -> Result<Mailbox, Problem> {
    let parsed = if text.len() <= ADDRESS_CHARS_MAX { text.trim().parse().ok() } else { None };
    parsed.ok_or_else(|| Problem::NoMailAddress(text.chars().take(100).collect()))
}

/// What a password is sealed for: whoever names another server does not get it there.
fn owner(host: &str, port: u16, username: &str) -> String {
    format!("mail {username} {host} {port}")
}

const HOST_CHARS_MAX: usize = 253;
/// RFC 5321, section 4.5.3.1, and a name before it.
const ADDRESS_CHARS_MAX: usize = 400;
const RECIPIENTS_MAX: usize = 50;
