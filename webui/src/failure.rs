//! What a handler answers when it cannot do what was asked. A handler returns a [`Failure`]; the guard turns it into a page
//! or into JSON, in the language of the request.

use std::error::Error as _;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::lang::Lang;
use crate::problem::{Problem, Said};

pub(crate) type Answer<T = Response> = Result<T, Failure>;

/// Why a request fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There is no such page.
    NoPage,
    /// The page exists, but not for this method.
    Method,
    /// The thing is not there any more.
    Gone,
    /// Fields of a form or of a JSON body cannot be used; an empty name stands for the whole.
    Input(Vec<(&'static str, Problem)>),
    /// What is there contradicts the wish.
    Refused(Problem),
    /// The request is not what a form or a client sends.
    Malformed(String),
    /// Another site sent the request.
    CrossSite,
    /// Nobody is signed in.
    NotSignedIn,
    /// Whoever is signed in may not do this.
    Forbidden,
    /// The request shows a token that opens nothing: unknown, over, or not from there.
    BadToken,
    /// The password was given too long ago for this.
    PasswordNeeded,
    /// Somebody else chose the password; an own one comes first.
    PasswordTemporary,
    /// This account needs a second factor first.
    SecondFactorNeeded,
    /// Too many wrong passwords; wait that many seconds.
    Wait(u64),
    /// The server has too much to do.
    Busy,
    /// The server's disk is full.
    DiskFull,
    /// Our fault; logged where it happened.
    Internal,
}

impl Failure {
    /// One field cannot be used.
    pub(crate) fn field(name: &'static str, problem: Problem) -> Self {
        Self::Input(vec![(name, problem)])
    }

    /// The problems that the person can mend, if it is of that kind.
    pub(crate) fn problems(self) -> Result<Vec<(&'static str, Problem)>, Self> {
        match self {
            Self::Input(problems) => Ok(problems),
            Self::Refused(problem) => Ok(vec![("", problem)]),
            other => Err(other),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NoPage | Self::Gone => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Input(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Refused(_) => StatusCode::CONFLICT,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::CrossSite
            | Self::Forbidden
            | Self::PasswordNeeded
            | Self::PasswordTemporary
            | Self::SecondFactorNeeded => StatusCode::FORBIDDEN,
            Self::NotSignedIn | Self::BadToken => StatusCode::UNAUTHORIZED,
            Self::Wait(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What is wrong and what to do.
    pub(crate) fn say(&self, lang: Lang) -> Said {
        let (de, en) = match self {
            Self::Input(problems) => {
                let Some((_, first)) = problems.first() else { return Self::Internal.say(lang) };
                return first.say(lang);
            }
            Self::Refused(problem) => return problem.say(lang),
            Self::Wait(secs) => return Problem::TooManyAttempts(*secs).say(lang),
            Self::Malformed(detail) => {
                let (text, remedy) = match lang {
                    Lang::De => (
                        "Die Anfrage ist nicht zu verstehen",
                        "Zurückgehen und das Formular noch einmal absenden.",
                    ),
                    Lang::En => ("The request cannot be understood", "Go back and send the form again."),
                };
                let text = if detail.is_empty() { format!("{text}.") } else { format!("{text}: {detail}") };
                return Said { text, remedy: remedy.into() };
            }
            Self::NoPage => (
                ("Diese Seite gibt es nicht.", "Die Adresse prüfen oder von der Übersicht aus suchen."),
                ("There is no such page.", "Check the address, or start from the overview."),
            ),
            Self::Method => (
                ("So lässt sich diese Seite nicht aufrufen.", "Die Seite über ihren Link oder Knopf öffnen."),
                ("This page cannot be called that way.", "Open it by its link or button."),
            ),
            Self::Gone => (
                (
                    "Das gibt es nicht mehr.",
                    "Vielleicht hat es jemand anders gelöscht oder der Vorgang ist vorbei. Die Liste neu laden.",
                ),
                (
                    "This is not there any more.",
                    "Somebody may have deleted it, or it is over. Load the list again.",
                ),
            ),
            Self::CrossSite => (
                (
                    "Die Anfrage kam von einer anderen Website und wurde verworfen.",
                    "Die Seite hier öffnen und dort handeln.",
                ),
                ("The request came from another site and was dropped.", "Open the page here and act there."),
            ),
            Self::NotSignedIn => (
                ("Dafür muss man angemeldet sein.", "Bitte anmelden."),
                ("This needs a sign-in.", "Please sign in."),
            ),
            Self::Forbidden => (
                (
                    "Das dürfen Sie hier nicht.",
                    "Die Schuladministration kann es tun oder das Recht dazu geben.",
                ),
                ("You may not do this here.", "The school's admin can do it, or give you the right."),
            ),
            Self::BadToken => (
                (
                    "Dieses API-Token gilt hier nicht.",
                    "Vielleicht ist es abgelaufen, gelöscht oder auf andere Adressen beschränkt. Die Schuladministration kann ein neues anlegen.",
                ),
                (
                    "This API token is not valid here.",
                    "It may have expired, been removed, or be bound to other addresses. The school's admin can make a new one.",
                ),
            ),
            Self::PasswordNeeded => (
                (
                    "Dafür muss das Kennwort noch einmal eingegeben werden.",
                    "Über die API: neu anmelden (POST /api/v1/session) und innerhalb von 15 Minuten wiederholen; mit einem Token geht es nicht.",
                ),
                (
                    "This needs the password once more.",
                    "With the API: sign in again (POST /api/v1/session) and repeat this within 15 minutes; a token cannot do it.",
                ),
            ),
            Self::PasswordTemporary => (
                ("Zuerst ist ein eigenes Kennwort zu wählen.", "Das geht auf der Seite „Kennwort“."),
                ("An own password has to be chosen first.", "The page \"Password\" does it."),
            ),
            Self::SecondFactorNeeded => (
                (
                    "Dieses Konto braucht zuerst einen zweiten Faktor.",
                    "Ihn auf der Seite „Kennwort“ einrichten.",
                ),
                ("This account needs a second factor first.", "Set it up on the page \"Password\"."),
            ),
            Self::Busy => (
                ("Gerade ist zu viel zu tun.", "In ein paar Sekunden noch einmal versuchen."),
                ("There is too much to do at the moment.", "Try again in a few seconds."),
            ),
            Self::DiskFull => (
                (
                    "Die Festplatte des Servers ist voll; geändert wurde nichts.",
                    "Auf dem Server Platz schaffen und noch einmal versuchen.",
                ),
                ("The server's disk is full; nothing was changed.", "Make room on the server and try again."),
            ),
            Self::Internal => (
                (
                    "Bei uns ist etwas schiefgegangen; geändert wurde nichts.",
                    "Noch einmal versuchen. Bleibt es dabei, nennt das Protokoll des Dienstes (journalctl -u hausmeister) den Grund.",
                ),
                (
                    "Something went wrong on our side; nothing was changed.",
                    "Try again. If it stays, the service's log (journalctl -u hausmeister) names the reason.",
                ),
            ),
        };
        let (text, remedy) = match lang {
            Lang::De => de,
            Lang::En => en,
        };
        Said { text: text.into(), remedy: remedy.into() }
    }
}

impl From<inventory::Error> for Failure {
    fn from(error: inventory::Error) -> Self {
        match error {
            inventory::Error::NotFound { .. } => Self::Gone,
            inventory::Error::Conflict(text) => Self::Refused(Problem::Inventory(text)),
            full if full.is_disk_full() => Self::DiskFull,
            other => {
                let cause = other.source().map(ToString::to_string).unwrap_or_default();
                tracing::error!(error = %other, cause, "the inventory failed a page");
                Self::Internal
            }
        }
    }
}

impl From<askama::Error> for Failure {
    fn from(error: askama::Error) -> Self {
        tracing::error!(%error, "a page template failed");
        Self::Internal
    }
}

/// Carries a failure from the handler to the guard that renders it.
#[derive(Clone)]
pub(crate) struct Failed(pub(crate) Arc<Failure>);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Failed(Arc::new(self)));
        response
    }
}
