//! One's own sign-in: the password, and the second factor.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use httpd::Peer;

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::fields::Fields;
use crate::page::{Here, Page, Shown, Visit};
use crate::pages::Me;
use crate::problem::Problem;
use crate::qr::{Qr, qr};
use crate::second_factor::Enrolment;
use crate::texts::Texts;
use crate::{people, rights, second_factor, signin};
use inventory::password::PASSWORD_CHARS_MIN;

#[derive(Template)]
#[template(path = "own.html")]
pub(crate) struct Own {
    pub(crate) p: Page,
    pub(crate) problems: Shown,
    /// Shortest password, in characters.
    pub(crate) chars_min: usize,
    /// Whether somebody else chose the password.
    pub(crate) temporary: bool,
    /// Whether a code is asked for after the password.
    pub(crate) second_factor: bool,
    /// Whether the school asks this account for one.
    pub(crate) required: bool,
    /// Recovery codes that are left.
    pub(crate) codes_left: usize,
}

/// A new second factor and the form for its first code.
#[derive(Template)]
#[template(path = "enrol.html")]
pub(crate) struct Enrol {
    pub(crate) p: Page,
    pub(crate) problems: Shown,
    pub(crate) sealed: String,
    pub(crate) secret: String,
    pub(crate) qr: Option<Qr>,
}

/// Recovery codes, to be written down.
#[derive(Template)]
#[template(path = "recovery.html")]
pub(crate) struct Recovery {
    pub(crate) p: Page,
    pub(crate) codes: Vec<String>,
}

/// `GET /password`
pub(crate) async fn show(State(app): State<App>, Extension(me): Me, visit: Visit) -> Answer {
    visit.show(&page(&app, &me, &visit).await?)
}

/// `POST /password`: `old`, `new` and `again`.
pub(crate) async fn change(
    State(app): State<App>,
    Extension(me): Me,
    Extension(peer): Extension<Peer>,
    visit: Visit,
    form: Fields,
) -> Answer {
    let (old, new) = (form.verbatim("old"), form.verbatim("new"));
    let done = async {
        if new != form.verbatim("again") {
            return Err(Failure::field("again", Problem::TypedDifferently));
        }
        signin::check_password(&app, &me.user.name, old, peer.address.ip()).await?;
        people::change_own(&app, &me, old, new).await
    };
    match done.await {
        Ok(()) => Ok(visit.go("/password", Texts::of(visit.lang).said_password.to_owned())),
        Err(failure @ Failure::Wait(_)) => Err(failure),
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            visit.show_problems(&Own { problems, ..page(&app, &me, &visit).await? })
        }
    }
}

/// `GET /password/second-factor`
pub(crate) async fn enrol(State(app): State<App>, Extension(me): Me, visit: Visit) -> Answer {
    visit.show(&enrol_page(&visit, second_factor::enrol(&app, &me.user)?, Shown::default()))
}

/// `POST /password/second-factor`: the sealed secret and its first code.
pub(crate) async fn confirm(State(app): State<App>, Extension(me): Me, visit: Visit, form: Fields) -> Answer {
    let sealed = form.text("sealed");
    match second_factor::confirm(&app, &me, sealed, form.text("code")).await {
        Ok(codes) => visit.show(&Recovery { p: visit.page(Here::Nowhere), codes }),
        Err(failure @ Failure::Input(_)) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            let enrolment = second_factor::enrol_again(&app, &me.user, sealed)?;
            visit.show_problems(&enrol_page(&visit, enrolment, problems))
        }
        Err(other) => Err(other),
    }
}

/// `POST /password/second-factor/clear`
pub(crate) async fn clear(State(app): State<App>, Extension(me): Me, visit: Visit) -> Answer {
    app.inventory.clear_totp(me.by(), me.user.id).await?;
    Ok(visit.go("/password", Texts::of(visit.lang).said_factor_cleared.to_owned()))
}

async fn page(app: &App, me: &SignedIn, visit: &Visit) -> Answer<Own> {
    Ok(Own {
        p: visit.page(Here::Nowhere),
        problems: Shown::default(),
        chars_min: PASSWORD_CHARS_MIN,
        temporary: me.user.password_temporary,
        second_factor: me.user.second_factor,
        required: app.school.require_second_factor && rights::is_powerful(me.user.role),
        codes_left: app.inventory.recovery_codes_left(me.user.id).await?,
    })
}

fn enrol_page(visit: &Visit, enrolment: Enrolment, problems: Shown) -> Enrol {
    Enrol {
        p: visit.page(Here::Nowhere),
        problems,
        secret: enrolment.secret.text(),
        qr: qr(&enrolment.uri),
        sealed: enrolment.sealed,
    }
}
