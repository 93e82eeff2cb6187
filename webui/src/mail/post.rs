//! Sending messages by SMTP, and doing so again and again with what is due.

use std::error::Error as _;
use std::time::Duration;

use inventory::{By, MailSecurity, MailSettings, clock, lessons};
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use ring::digest::{SHA256, digest};

use super::letters::{Known, Letter};
use super::owner;
use crate::app::App;
use crate::failure::Answer;
use crate::faults;
use crate::night;

/// Why a message was not sent.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum MailError {
    /// The password is sealed with a key that is gone, or for another account.
    #[error("the password cannot be read any more; enter it again")]
    Password,
    /// Saved settings that no message can be made with.
    #[error("an address cannot be used: {0}")]
    Address(String),
    /// The server does not know this recipient; others are not affected.
    #[error("{0}")]
    Recipient(String),
    /// The server, or the way to it.
    #[error("{0}")]
    Server(String),
}

/// A mail server that takes our messages, and in whose name they are.
pub(crate) struct Office {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    sender: Mailbox,
}

impl Office {
    /// Nothing is sent yet. Trusts whom this machine trusts, and the school's authority.
    pub(crate) fn open(mail: &MailSettings, app: &App) -> Result<Self, MailError> {
        let sender: Mailbox = mail.sender.parse().map_err(|_| MailError::Address(mail.sender.clone()))?;
        let tls = || {
            let own = Certificate::from_pem(app.school.authority.as_bytes())?;
            TlsParameters::builder(mail.host.clone()).add_root_certificate(own).build()
        };
        let tls = match mail.security {
            MailSecurity::Tls => Tls::Wrapper(tls().map_err(explain)?),
            MailSecurity::StartTls => Tls::Required(tls().map_err(explain)?),
            MailSecurity::None => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(mail.host.clone())
            .port(mail.port)
            .tls(tls)
            .timeout(Some(TIME_MAX))
            .hello_name(ClientId::Domain(sender.email.domain().to_owned()));
        if let Some(login) = &mail.login {
            let owner = owner(&mail.host, mail.port, &login.username);
            let password = app.vault.unseal(owner.as_bytes(), &login.sealed_password);
            let password =
                password.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(MailError::Password)?;
            builder = builder.credentials(Credentials::new(login.username.clone(), password));
        }
        Ok(Self { transport: builder.build(), sender })
    }

    /// The server took the message.
    pub(crate) async fn send(&self, letter: &Letter) -> Result<(), MailError> {
        let recipient: Mailbox =
            letter.recipient.parse().map_err(|_| MailError::Address(letter.recipient.clone()))?;
        let message = Message::builder()
            .from(self.sender.clone())
            .to(recipient)
            .subject(letter.subject.clone())
            .date_now()
            .message_id(Some(self.message_id(letter)))
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN)
            .body(letter.body.clone())
            .map_err(|error| MailError::Address(error.to_string()))?;
        self.transport.send(message).await.map_err(explain)?;
        Ok(())
    }

    /// The same for the same message: one that is sent again, because we died before we had written down that it was, can be told
    /// for what it is.
    fn message_id(&self, letter: &Letter) -> String {
        let text = format!("{}\n{}\n{}", letter.recipient, letter.day, letter.about.join("\n"));
        let hash = digest(&SHA256, text.as_bytes());
        let hash: String = hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("<{hash}@{}>", self.sender.email.domain())
    }
}

/// No person wrote it, and none is to be answered (RFC 3834, section 5).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Sends what is due, again and again.
pub(crate) async fn deliver(app: App) {
    let mut failed: Option<(MailSettings, u32)> = None;
    loop {
        let failures = failed.as_ref().map_or(0, |(_, failures)| *failures);
        tokio::time::sleep(pause(failures)).await;
        let mail = match app.inventory.mail_settings().await {
            Ok(Some(mail)) => mail,
            Ok(None) => continue,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "nothing can be mailed");
                continue;
            }
        };
        match round(&app, &mail).await {
            Ok(true) => failed = None,
            Ok(false) => {
                // Whoever changed the settings wants to see what comes of it.
                let before = failed.take().filter(|(before, _)| *before == mail);
                failed = Some((mail, before.map_or(1, |(_, failures)| failures.saturating_add(1))));
            }
            Err(error) => tracing::warn!(?error, "nothing can be mailed"),
        }
    }
}

/// Sends what is due now; whether that worked for everybody.
pub(crate) async fn round(app: &App, mail: &MailSettings) -> Answer<bool> {
    let now = clock::now();
    let night = match mail.report {
        true => {
            let notes = night::notes(app, night::HISTORY_DAYS).await?;
            night::latest(app, &app.inventory.devices().await?.0, &notes).await?
        }
        false => None,
    };
    let notices = app.inventory.notices().await?;
    let known = Known {
        lang: app.school.lang,
        school: &app.school.name,
        page: app.school.portal.as_ref().map(|portal| portal.uri("")),
        night,
        // That nothing can be mailed is nothing to mail.
        notices: notices
            .into_iter()
            .filter(|notice| notice.source != SOURCE)
            .chain(faults::notices(app).await?)
            .collect(),
        sent: app.inventory.mails_sent().await?,
        today: lessons::local(now).date(),
        now,
    };
    let letters = known.due(mail);
    let problems = if letters.is_empty() { Vec::new() } else { send_all(app, mail, &letters).await? };
    app.inventory.set_notices(By { actor: "webui", at: now }, SOURCE, &problems).await?;
    Ok(problems.is_empty())
}

/// Sends messages, and gives a notice about each that was not sent.
async fn send_all(
    app: &App,
    mail: &MailSettings,
    letters: &[Letter],
) -> Answer<Vec<(String, String, String)>> {
    let office = Office::open(mail, app);
    let mut problems = Vec::new();
    for letter in letters {
        let sent = match &office {
            Ok(office) => office.send(letter).await,
            Err(error) => Err(error.clone()),
        };
        let Err(error) = sent else {
            app.inventory.keep_mail_sent(clock::now(), &letter.about, &letter.recipient).await?;
            continue;
        };
        tracing::warn!(%error, "a message was not sent");
        let text = format!("an e-mail to {} could not be sent: {error}", letter.recipient);
        let remedy = "check the settings on the page E-mail, and send a message to try them";
        problems.push((letter.recipient.clone(), text, remedy.to_owned()));
        // A server that let us down would do it again; and who tries a wrong password too often is locked out.
        if !matches!(error, MailError::Recipient(_) | MailError::Address(_)) {
            break;
        }
    }
    Ok(problems)
}

fn pause(failures: u32) -> Duration {
    ROUND.saturating_mul(1 << failures.min(6))
}

fn explain(error: lettre::transport::smtp::Error) -> MailError {
    // Its own text ends with that of its source.
    let text = error.to_string();
    let deeper = error.source().and_then(std::error::Error::source).map(ToString::to_string);
    let deeper = deeper.filter(|deeper| !text.contains(deeper.as_str()));
    let text = [Some(text), deeper].into_iter().flatten().collect::<Vec<_>>().join(": ");
    let text = text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect();
    // RFC 5321, section 4.2.3: 550, 551 and 553 are about a mailbox.
    match error.status().map(u16::from) {
        Some(550 | 551 | 553) => MailError::Recipient(text),
        _ => MailError::Server(text),
    }
}

const SOURCE: &str = "mail";
const ROUND: Duration = Duration::from_secs(60);
const TIME_MAX: Duration = Duration::from_secs(30);
const TEXT_CHARS_MAX: usize = 300;
