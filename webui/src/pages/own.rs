//! One's own sign-in: the password, and the second factor.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use httpd::Peer;
use qrcode::{Color, EcLevel, QrCode};

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::fields::Fields;
use crate::page::{Here, Page, Shown, Visit};
use crate::pages::Me;
use crate::password::PASSWORD_CHARS_MIN;
use crate::problem::Problem;
use crate::second_factor::Enrolment;
use crate::texts::Texts;
use crate::{people, rights, second_factor, signin};

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

/// A QR code as the lines of an SVG path.
pub(crate) struct Qr {
    pub(crate) path: String,
    /// Modules from side to side, the quiet zone included.
    pub(crate) size: usize,
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

/// Draws a QR code: a stroke for each run of dark modules. `None` if the text is too long for one.
fn qr(text: &str) -> Option<Qr> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let (width, colors) = (code.width(), code.to_colors());
    let mut path = String::new();
    for (y, row) in colors.chunks(width).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|a, b| a == b) {
            if run.first() == Some(&Color::Dark) {
                path.push_str(&format!("M{} {}h{}v1h-{}z", x + QUIET, y + QUIET, run.len(), run.len()));
            }
            x += run.len();
        }
    }
    Some(Qr { path, size: width + 2 * QUIET })
}

/// ISO/IEC 18004 asks for four light modules on each side.
const QUIET: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qr_code_has_its_three_corners() {
        let qr = qr("otpauth://totp/Hausmeister:admin?secret=GEZDGNBVGY3TQOJQ").unwrap();
        let last = qr.size - QUIET - 7;
        for corner in
            [format!("M{QUIET} {QUIET}h7"), format!("M{last} {QUIET}h7"), format!("M{QUIET} {last}h7")]
        {
            assert!(qr.path.contains(&corner), "{corner}: {}", qr.path);
        }
        assert!(super::qr(&"x".repeat(5000)).is_none());
    }
}
