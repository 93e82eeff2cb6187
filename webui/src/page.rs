//! What every page has around its content, and the ways a handler answers.

use std::convert::Infallible;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use inventory::Role;
use serde::{Deserialize, Serialize};

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::lang::Lang;
use crate::pages::assets;
use crate::problem::{Problem, Said};
use crate::rights::{self, Right};
use crate::session::{cookie, set_cookie};
use crate::texts::Texts;

/// Which entry of the menu a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Here {
    Overview,
    Waiting,
    Devices,
    Ipads,
    IpadRules,
    Apps,
    Apple,
    Rooms,
    Images,
    Jobs,
    Software,
    Night,
    Networks,
    Import,
    Changes,
    Room,
    Classes,
    Exams,
    Rules,
    Grid,
    Status,
    People,
    Tokens,
    Mail,
    Backups,
    Faults,
    Report,
    Wlan,
    Guests,
    OwnWlan,
    /// No entry: sign-in and error pages.
    Nowhere,
}

impl Here {
    /// The entry of the menu: everything about iPads has one.
    fn entry(self) -> Self {
        match self {
            Self::IpadRules | Self::Apps | Self::Apple => Self::Ipads,
            other => other,
        }
    }
}

/// A message that the next page shows once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flash {
    /// Whether it is good news.
    pub(crate) good: bool,
    /// The message.
    pub(crate) text: String,
    /// What to do; may be empty.
    #[serde(default)]
    pub(crate) remedy: String,
}

/// What every template gets.
pub(crate) struct Page {
    pub(crate) lang: Lang,
    pub(crate) t: &'static Texts,
    pub(crate) school: String,
    /// Name of the person who is signed in.
    pub(crate) user: Option<String>,
    /// Their role.
    pub(crate) role: Option<Role>,
    pub(crate) here: Here,
    pub(crate) flash: Option<Flash>,
    /// Whether the page can be fetched again to see what changed: not the answer to a form.
    pub(crate) live: bool,
    /// Whether only the content is wanted, to be put in place of the old one.
    pub(crate) fragment: bool,
    /// Path and query, to come back to after switching the language.
    pub(crate) path: String,
    pub(crate) css: &'static str,
    pub(crate) js: &'static str,
}

impl Page {
    /// Entries of the menu that the person may open: where they lead, what they are called, whether this is it.
    pub(crate) fn menu(&self) -> Vec<(&'static str, &'static str, bool)> {
        let t = self.t;
        let may = |right| self.role.is_some_and(|role| rights::has(role, right));
        let teaches = |right| may(right) && !may(Right::Devices);
        let all = [
            ("/room", t.my_room, Here::Room, teaches(Right::Lessons)),
            ("/classes", t.my_classes, Here::Classes, teaches(Right::Lessons)),
            ("/exams", t.exams, Here::Exams, teaches(Right::Lessons)),
            ("/report", t.faults().report, Here::Report, teaches(Right::Lessons)),
            ("/", t.overview, Here::Overview, may(Right::Devices)),
            ("/waiting", t.waiting_list, Here::Waiting, may(Right::Devices)),
            ("/devices", t.devices, Here::Devices, may(Right::Devices)),
            ("/ipads", t.ipads, Here::Ipads, may(Right::Devices)),
            ("/rooms", t.rooms, Here::Rooms, may(Right::Devices)),
            ("/images", t.images, Here::Images, may(Right::Devices)),
            ("/jobs", t.jobs, Here::Jobs, may(Right::Devices)),
            ("/software", t.software, Here::Software, may(Right::Devices)),
            ("/faults", t.faults().title, Here::Faults, may(Right::Devices)),
            ("/night", t.night, Here::Night, may(Right::Devices)),
            ("/import/people", t.import, Here::Import, may(Right::People)),
            ("/import/devices", t.import, Here::Import, may(Right::Devices) && !may(Right::People)),
            ("/networks", t.networks, Here::Networks, may(Right::School)),
            ("/wlan", t.wlan().title, Here::Wlan, may(Right::School)),
            ("/rules", t.rules, Here::Rules, may(Right::School)),
            ("/lesson-times", t.grid, Here::Grid, may(Right::School)),
            ("/room", t.lessons, Here::Room, may(Right::Lessons) && may(Right::Devices)),
            ("/classes", t.classes, Here::Classes, may(Right::Lessons) && may(Right::Devices)),
            ("/exams", t.exams, Here::Exams, may(Right::Lessons) && may(Right::Devices)),
            ("/wlan/vouchers", t.wlan().vouchers, Here::Guests, may(Right::Lessons) && !may(Right::School)),
            ("/people", t.people, Here::People, may(Right::People)),
            ("/mail", t.mail, Here::Mail, may(Right::School)),
            ("/backups", t.backups, Here::Backups, may(Right::School)),
            ("/tokens", t.tokens, Here::Tokens, may(Right::School)),
            ("/changes", t.changes, Here::Changes, may(Right::History)),
            ("/status", t.status, Here::Status, !may(Right::Devices)),
            ("/my/wlan", t.wlan().own, Here::OwnWlan, !may(Right::School)),
        ];
        all.into_iter()
            .filter(|(_, _, _, may)| *may)
            .map(|(path, name, here, _)| (path, name, here == self.here.entry()))
            .collect()
    }

    /// What belongs to iPads, as far as the person may open it.
    pub(crate) fn ipad_pages(&self) -> Vec<(&'static str, &'static str, bool)> {
        let t = self.t;
        let may = |right| self.role.is_some_and(|role| rights::has(role, right));
        let all = [
            ("/ipads", t.ipads, Here::Ipads, may(Right::Devices)),
            ("/ipads/rules", t.ipad_rules, Here::IpadRules, may(Right::School)),
            ("/apps", t.apps, Here::Apps, may(Right::Devices)),
            ("/apple", t.apple, Here::Apple, may(Right::School)),
        ];
        let all = all.into_iter().filter(|(_, _, _, may)| *may);
        all.map(|(path, name, here, _)| (path, name, here == self.here)).collect()
    }

    /// The other languages.
    pub(crate) fn other_langs(&self) -> impl Iterator<Item = Lang> {
        let mine = self.lang;
        Lang::ALL.into_iter().filter(move |lang| *lang != mine)
    }

    /// A page outside a handler's request: for errors, and for the tests.
    pub(crate) fn bare(lang: Lang, school: &str) -> Self {
        Self {
            lang,
            t: Texts::of(lang),
            school: school.to_owned(),
            user: None,
            role: None,
            here: Here::Nowhere,
            flash: None,
            live: false,
            fragment: false,
            path: "/".into(),
            css: assets::css_path(),
            js: assets::js_path(),
        }
    }
}

/// One request by a person: what its page looks like and how it is answered.
pub(crate) struct Visit {
    pub(crate) lang: Lang,
    school: String,
    user: Option<String>,
    role: Option<Role>,
    flash: Option<Flash>,
    fragment: bool,
    /// Address of the page; the answer to a form has none to come back to.
    path: Option<String>,
}

impl FromRequestParts<App> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self {
            lang: Lang::of(&parts.headers, app.school.lang),
            school: app.school.name.clone(),
            user: parts.extensions.get::<SignedIn>().map(|s| s.user.name.clone()),
            role: parts.extensions.get::<SignedIn>().map(|s| s.user.role),
            flash: flash(&parts.headers),
            fragment: is_fragment(&parts.uri),
            path: (parts.method == Method::GET).then(|| path_of(&parts.uri)),
        })
    }
}

impl Visit {
    /// Frame of a page.
    pub(crate) fn page(&self, here: Here) -> Page {
        let mut page = Page {
            user: self.user.clone(),
            role: self.role,
            here,
            flash: self.flash.clone().filter(|_| !self.fragment),
            live: self.user.is_some() && self.path.is_some(),
            fragment: self.fragment,
            ..Page::bare(self.lang, &self.school)
        };
        let menu = page.menu().into_iter().find(|(_, _, here)| *here).map(|(path, _, _)| path.to_owned());
        page.path = self.path.clone().or(menu).unwrap_or(page.path);
        page
    }

    /// Answers with a page.
    pub(crate) fn show(&self, page: &impl Template) -> Answer {
        self.show_as(StatusCode::OK, page)
    }

    /// Answers with a page that tells of wrong input.
    pub(crate) fn show_problems(&self, page: &impl Template) -> Answer {
        self.show_as(StatusCode::UNPROCESSABLE_ENTITY, page)
    }

    fn show_as(&self, status: StatusCode, page: &impl Template) -> Answer {
        let mut response = (status, Html(page.render()?)).into_response();
        if self.flash.is_some() && !self.fragment {
            response.headers_mut().extend(set_cookie(FLASH_COOKIE, "", 0).map(|v| (header::SET_COOKIE, v)));
        }
        Ok(response)
    }

    /// Goes to a page that says once what was done.
    pub(crate) fn go(&self, path: &str, text: String) -> Response {
        say_and_go(path, &Flash { good: true, text, remedy: String::new() })
    }

    /// Goes to a page that says once what was done, or why it was refused.
    pub(crate) fn go_done(&self, path: &str, done: Answer<String>) -> Answer {
        match done {
            Ok(text) => Ok(self.go(path, text)),
            Err(failure) => self.go_refused(path, failure),
        }
    }

    /// Goes to a page that says once why something was refused. Failures that are no refusals stay failures.
    pub(crate) fn go_refused(&self, path: &str, failure: Failure) -> Answer {
        let problems = failure.problems()?;
        let Some((_, problem)) = problems.first() else { return Err(Failure::Internal) };
        let Said { text, remedy } = problem.say(self.lang);
        Ok(say_and_go(path, &Flash { good: false, text, remedy }))
    }
}

/// Problems of a form, ready to be shown.
#[derive(Default)]
pub(crate) struct Shown(Vec<(&'static str, Said)>);

impl Shown {
    pub(crate) fn of(lang: Lang, problems: &[(&'static str, Problem)]) -> Self {
        Self(problems.iter().map(|(field, problem)| (*field, problem.say(lang))).collect())
    }

    /// What is wrong with a field; with an empty name, with the whole.
    pub(crate) fn at(&self, field: &str) -> Option<&Said> {
        self.0.iter().find(|(name, _)| *name == field).map(|(_, said)| said)
    }

    /// What is wrong with a field, to stand behind it; `id` is that of the field.
    pub(crate) fn wrong<'a>(&'a self, field: &str, id: &'a str) -> Wrong<'a> {
        Wrong { said: self.at(field), id }
    }

    /// What is wrong with the whole, to stand before the form.
    pub(crate) fn whole(&self) -> Whole<'_> {
        Whole { said: self.at("") }
    }

    /// Whether everything is in order.
    pub(crate) fn none(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a field's `aria-invalid`.
    pub(crate) fn invalid(&self, field: &str) -> &'static str {
        if self.at(field).is_some() { "true" } else { "false" }
    }
}

/// A field's problem. An empty one is rendered too, since the field's `aria-describedby` names it.
#[derive(Template)]
#[template(
    source = r#"<span class="wrong" id="{{ id }}-wrong">{% if let Some(said) = said %}{{ said.text }} {{ said.remedy }}{% endif %}</span>"#,
    ext = "html"
)]
pub(crate) struct Wrong<'a> {
    said: Option<&'a Said>,
    id: &'a str,
}

/// A form's problem.
#[derive(Template)]
#[template(
    source = r#"{% if let Some(said) = said %}<p class="flash bad" role="alert">{{ said.text }} <span class="remedy">{{ said.remedy }}</span></p>{% endif %}"#,
    ext = "html"
)]
pub(crate) struct Whole<'a> {
    said: Option<&'a Said>,
}

// Both escape what they hold.
impl HtmlSafe for Wrong<'_> {}
impl HtmlSafe for Whole<'_> {}

/// A path of this site to come back to, from a query or a form; anything that could lead elsewhere gives the overview.
pub(crate) fn safe_path(path: &str) -> &str {
    let own = path.starts_with('/') && !path.starts_with("//");
    let plain = path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if own && plain && path.len() <= 500 { path } else { "/" }
}

fn say_and_go(path: &str, flash: &Flash) -> Response {
    let mut response = Redirect::to(path).into_response();
    let cut = Flash {
        text: flash.text.chars().take(FLASH_CHARS_MAX).collect(),
        remedy: flash.remedy.chars().take(FLASH_CHARS_MAX).collect(),
        ..flash.clone()
    };
    let value = serde_json::to_vec(&cut).map(|json| URL_SAFE_NO_PAD.encode(json)).unwrap_or_default();
    let cookie: Option<HeaderValue> = set_cookie(FLASH_COOKIE, &value, FLASH_SECS);
    response.headers_mut().extend(cookie.map(|value| (header::SET_COOKIE, value)));
    response
}

fn flash(headers: &HeaderMap) -> Option<Flash> {
    let value = cookie(headers, FLASH_COOKIE).filter(|value| value.len() <= 4000)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(value).ok()?).ok()
}

fn is_fragment(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|pair| pair == FRAGMENT))
}

/// The address without the wish for a fragment.
fn path_of(uri: &Uri) -> String {
    let query: Vec<&str> =
        uri.query().unwrap_or_default().split('&').filter(|p| *p != FRAGMENT && !p.is_empty()).collect();
    if query.is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), query.join("&")) }
}

const FRAGMENT: &str = "fragment=1";
const FLASH_COOKIE: &str = "__Host-flash";
const FLASH_CHARS_MAX: usize = 600;
const FLASH_SECS: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_site_are_come_back_to() {
        for path in ["/", "/devices?room=a%20b", "/waiting#x"] {
            assert_eq!(safe_path(path), path);
        }
        for path in
            ["", "//evil.example", "/\\evil.example", "https://evil.example", "/a\nb", "/a b", "javascript:x"]
        {
            assert_eq!(safe_path(path), "/", "{path}");
        }
    }

    #[test]
    fn a_message_reaches_the_next_page() {
        let flash_sent = Flash { good: false, text: "Grüße; \"<b>\"".into(), remedy: "x".repeat(5000) };
        let response = say_and_go("/rooms", &flash_sent);
        let set = response.headers()[header::SET_COOKIE].to_str().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, set.split(';').next().unwrap().parse().unwrap());
        let got = flash(&headers).unwrap();
        assert_eq!((got.good, got.text), (false, flash_sent.text));
        assert_eq!(got.remedy.len(), FLASH_CHARS_MAX);
        for value in ["", "%%%", "bm9uc2Vuc2U", "e30"] {
            headers.insert(header::COOKIE, format!("{FLASH_COOKIE}={value}").parse().unwrap());
            assert_eq!(flash(&headers), None, "{value}");
        }
    }

    #[test]
    fn the_wish_for_a_fragment_is_no_part_of_the_address() {
        let uri: Uri = "/devices?room=1&fragment=1&q=x".parse().unwrap();
        assert!(is_fragment(&uri));
        assert_eq!(path_of(&uri), "/devices?room=1&q=x");
        assert_eq!(path_of(&"/devices?fragment=1".parse().unwrap()), "/devices");
        assert!(!is_fragment(&"/devices?fragment=11".parse().unwrap()));
    }
}
