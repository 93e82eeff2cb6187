//! API tokens.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use inventory::{Token, TokenId, UnixMillis, clock};
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::app::App;
use crate::bearer::{self, TokenWish};
use crate::failure::{Answer, Failure};
use crate::fields::{Fields, Id};
use crate::format;
use crate::page::{Here, Page, Shown, Visit};
use crate::pages::{Me, texts_of};
use crate::rights::Right;
use crate::texts::Texts;
use crate::views::When;

#[derive(Template)]
#[template(path = "tokens.html")]
pub(crate) struct Tokens {
    pub(crate) p: Page,
    pub(crate) rows: Vec<TokenRow>,
    pub(crate) unusable: Vec<String>,
    pub(crate) problems: Shown,
    /// What was typed.
    pub(crate) name: String,
    pub(crate) networks: String,
    pub(crate) expires: String,
    /// Rights to choose from: name of the field, what it opens, and what was chosen.
    pub(crate) rights: Vec<(String, &'static str, String)>,
}

/// A token in the list.
pub(crate) struct TokenRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) scopes: String,
    pub(crate) networks: String,
    pub(crate) expires: String,
    pub(crate) over: bool,
    pub(crate) used: Option<When>,
    pub(crate) by: String,
}

/// A token, to be copied once.
#[derive(Template)]
#[template(path = "token_shown.html")]
pub(crate) struct TokenShown {
    pub(crate) p: Page,
    pub(crate) name: String,
    pub(crate) token: String,
}

/// `GET /tokens`
pub(crate) async fn show(State(app): State<App>, visit: Visit) -> Answer {
    visit.show(&page(&app, &visit, &Fields::default()).await?)
}

/// `POST /tokens`
pub(crate) async fn create(State(app): State<App>, Extension(me): Me, visit: Visit, form: Fields) -> Answer {
    let scope = |right: Right| form.given(&field(right)).map(|reach| format!("{}:{reach}", right.text()));
    let separators = [' ', ',', ';', '\n', '\r', '\t'];
    let wish = TokenWish {
        name: form.text("name"),
        scopes: Right::GRANTABLE.into_iter().filter_map(scope).collect(),
        networks: form.text("networks").split(separators).filter(|text| !text.is_empty()).collect(),
        expires_at: end_of_day(form.text("expires")),
    };
    match bearer::make(&app, &me, &wish).await {
        Ok((_, token)) => {
            visit.show(&TokenShown { p: visit.page(Here::Tokens), name: wish.name.to_owned(), token })
        }
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            visit.show_problems(&Tokens { problems, ..page(&app, &visit, &form).await? })
        }
    }
}

/// `POST /tokens/{id}/delete`. It protects, so nobody is asked twice.
pub(crate) async fn delete(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<TokenId>,
) -> Answer {
    let (tokens, _) = app.inventory.tokens().await?;
    let token = tokens.into_iter().find(|token| token.id == id).ok_or(Failure::Gone)?;
    app.inventory.delete_token(me.by(), id).await?;
    Ok(visit.go("/tokens", Texts::of(visit.lang).said_deleted(&token.name)))
}

async fn page(app: &App, visit: &Visit, typed: &Fields) -> Answer<Tokens> {
    let t = Texts::of(visit.lang);
    let (tokens, problems) = app.inventory.tokens().await?;
    let now = clock::now();
    let chosen = |right: Right| (field(right), t.right(right), typed.text(&field(right)).to_owned());
    let text = |name: &str| typed.text(name).chars().take(TYPED_CHARS_MAX).collect();
    Ok(Tokens {
        p: visit.page(Here::Tokens),
        rows: tokens.into_iter().map(|token| row(visit, now, token)).collect(),
        unusable: texts_of(&problems),
        problems: Shown::default(),
        name: text("name"),
        networks: text("networks"),
        expires: text("expires"),
        rights: Right::GRANTABLE.map(chosen).into(),
    })
}

fn row(visit: &Visit, now: UnixMillis, token: Token) -> TokenRow {
    TokenRow {
        id: token.id.to_string(),
        name: token.name,
        scopes: token.scopes.join(", "),
        networks: token.networks.join(", "),
        expires: format::time(visit.lang, token.expires_at),
        over: token.expires_at <= now,
        used: token.last_used_at.map(|at| When::new(visit.lang, now, at)),
        by: token.created_by,
    }
}

/// The form's field for a right.
fn field(right: Right) -> String {
    format!("scope_{}", right.text())
}

/// The end of a day, as browsers send it (`2027-07-31`), in the school's zone.
pub(crate) fn end_of_day(text: &str) -> Option<UnixMillis> {
    let date: Date = text.parse().ok()?;
    let next = date.checked_add(1.day()).ok()?.to_zoned(TimeZone::system()).ok()?;
    Some(UnixMillis(next.timestamp().as_millisecond()))
}

const TYPED_CHARS_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_holds_until_its_day_is_over() {
        let end = end_of_day("2027-07-31").unwrap();
        let zoned = jiff::Timestamp::from_millisecond(end.0).unwrap().to_zoned(TimeZone::system());
        assert_eq!((zoned.date().to_string().as_str(), zoned.hour()), ("2027-08-01", 0));
        for bad in ["", "31.07.2027", "2027-02-30", "9999-12-31"] {
            assert_eq!(end_of_day(bad), None, "{bad}");
        }
    }
}
