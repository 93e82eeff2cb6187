//! Rules for iPads: the list, one of them with a preview, and what holds for an iPad.

mod form;

use std::collections::HashMap;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use inventory::gate::Target;
use inventory::mdm::{Enrolment, When};
use inventory::{EnrolmentId, IpadRuleId};
use ipados::catalogue::{Language, Restriction, Setting};
use ipados::rules::{Content, Explained, Outcome, Rank, Said, Subject, Why, WhyNot};

use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::fields::{Asked, Fields, Id};
use crate::format;
use crate::ipad_rules::{self, During, RuleShown, RuleWish};
use crate::lang::Lang;
use crate::page::{Here, Page, Shown, Visit};
use crate::pages::{Choice, Me, texts_of};
use crate::texts::Texts;
use crate::views::Badge;

use form::{RestrictionField, RestrictionGroup, RuleForm};

/// All rules.
#[derive(Template)]
#[template(path = "ipad_rules.html")]
pub(crate) struct RulesPage {
    pub(crate) p: Page,
    pub(crate) rows: Vec<RuleRow>,
    pub(crate) unusable: Vec<String>,
}

/// A rule in the list.
pub(crate) struct RuleRow {
    id: String,
    name: String,
    target: String,
    when: &'static str,
    /// What it says, in short.
    says: String,
    changed: String,
}

/// One rule, with what it would do to an iPad.
#[derive(Template)]
#[template(path = "ipad_rule.html")]
pub(crate) struct RulePage {
    pub(crate) p: Page,
    /// Absent for a new one.
    pub(crate) id: Option<String>,
    pub(crate) form: RuleForm,
    pub(crate) groups: Vec<RestrictionGroup>,
    pub(crate) targets: Vec<Choice>,
    pub(crate) times: Vec<Choice>,
    pub(crate) ipads: Vec<Choice>,
    pub(crate) during: Vec<Choice>,
    pub(crate) problems: Shown,
    pub(crate) preview: Option<Ruled>,
}

/// What holds for an iPad.
#[derive(Template)]
#[template(path = "ipad_ruled.html")]
pub(crate) struct RuledPage {
    pub(crate) p: Page,
    pub(crate) id: String,
    pub(crate) during: Vec<Choice>,
    pub(crate) ruled: Ruled,
}

/// What holds for an iPad, conflicts first.
pub(crate) struct Ruled {
    pub(crate) name: String,
    /// What of it no two agree about.
    pub(crate) conflicts: Vec<RuledRow>,
    pub(crate) rest: Vec<RuledRow>,
    /// It did not say yet that it is supervised.
    pub(crate) unsupervised: bool,
}

/// One thing that holds, or does not.
pub(crate) struct RuledRow {
    subject: String,
    value: String,
    why: Badge,
    said: Vec<String>,
}

/// `GET /ipads/rules`
pub(crate) async fn list(State(app): State<App>, visit: Visit) -> Answer {
    let t = Texts::of(visit.lang);
    let (rules, problems) = ipad_rules::all(&app).await?;
    let names = names(&app).await?;
    let row = |rule: RuleShown| RuleRow {
        id: rule.id.to_string(),
        target: target_name(t, &names, rule.target),
        when: t.when(rule.when),
        says: says(visit.lang, &rule.content),
        changed: format!("{} · {}", format::time(visit.lang, rule.changed_at), rule.changed_by),
        name: rule.name,
    };
    let rows = rules.into_iter().map(row).collect();
    visit.show(&RulesPage { p: visit.page(Here::IpadRules), rows, unusable: texts_of(&problems) })
}

/// `GET /ipads/rules/new`
pub(crate) async fn fresh(State(app): State<App>, visit: Visit) -> Answer {
    let form = RuleForm { target: "school".into(), when: When::Always.text().into(), ..RuleForm::default() };
    visit.show(&page(&app, &visit, None, form, Asked(Fields::default())).await?)
}

/// `GET /ipads/rules/{id}`
pub(crate) async fn show(State(app): State<App>, visit: Visit, Id(id): Id<IpadRuleId>) -> Answer {
    let rule = ipad_rules::find(&app, id).await?;
    let form = RuleForm::of_rule(language(visit.lang), &rule.name, rule.target, rule.when, &rule.content);
    visit.show(&page(&app, &visit, Some(id), form, Asked(Fields::default())).await?)
}

/// `POST /ipads/rules`
pub(crate) async fn create(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    fields: Fields,
) -> Answer {
    keep(&app, &me, &visit, None, fields).await
}

/// `POST /ipads/rules/{id}`
pub(crate) async fn save(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<IpadRuleId>,
    fields: Fields,
) -> Answer {
    keep(&app, &me, &visit, Some(id), fields).await
}

/// Saves what was typed, or shows what it would do.
async fn keep(
    app: &App,
    me: &crate::app::SignedIn,
    visit: &Visit,
    id: Option<IpadRuleId>,
    fields: Fields,
) -> Answer {
    let form = RuleForm::of_fields(&fields);
    let wish = match wish(app, id, &form, &fields).await {
        Ok(wish) => wish,
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            return visit
                .show_problems(&RulePage { problems, ..page(app, visit, id, form, Asked(fields)).await? });
        }
    };
    if fields.given("preview").is_some() {
        let asked = Asked(fields);
        let ipad: EnrolmentId = asked.0.text("ipad").parse().map_err(|_| Failure::Gone)?;
        let during = During::of(asked.0.text("during"));
        let (ipad, merged) = ipad_rules::holding(app, ipad, during, Some((id, wish))).await?;
        let preview = Some(ruled(visit.lang, ipad.name, ipad.facts.supervised, &merged.explained));
        return visit.show(&RulePage { preview, ..page(app, visit, id, form, asked).await? });
    }
    match ipad_rules::save(app, me, id, wish).await {
        Ok(_) => Ok(visit.go("/ipads/rules", Texts::of(visit.lang).rule_saved.to_owned())),
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            visit.show_problems(&RulePage { problems, ..page(app, visit, id, form, Asked(fields)).await? })
        }
    }
}

async fn wish(app: &App, id: Option<IpadRuleId>, form: &RuleForm, fields: &Fields) -> Answer<RuleWish> {
    let before = match id {
        Some(id) => ipad_rules::find(app, id).await?.content,
        None => Content::default(),
    };
    form.wish(fields.verbatim("wifi_password"), &before).map_err(Failure::Input)
}

/// `POST /ipads/rules/{id}/delete`
pub(crate) async fn delete(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<IpadRuleId>,
) -> Answer {
    let t = Texts::of(visit.lang);
    let done = app.inventory.delete_ipad_rule(me.by(), id).await;
    visit.go_done("/ipads/rules", done.map(|()| t.said_deleted(t.rule)).map_err(Failure::from))
}

/// `GET /ipads/{id}/rules`
pub(crate) async fn holding(
    State(app): State<App>,
    visit: Visit,
    Id(id): Id<EnrolmentId>,
    Asked(asked): Asked,
) -> Answer {
    let during = During::of(asked.text("during"));
    let (ipad, merged) = ipad_rules::holding(&app, id, during, None).await?;
    visit.show(&RuledPage {
        p: visit.page(Here::Ipads),
        id: id.to_string(),
        during: moments(Texts::of(visit.lang), during),
        ruled: ruled(visit.lang, ipad.name, ipad.facts.supervised, &merged.explained),
    })
}

async fn page(
    app: &App,
    visit: &Visit,
    id: Option<IpadRuleId>,
    form: RuleForm,
    asked: Asked,
) -> Answer<RulePage> {
    let t = Texts::of(visit.lang);
    let names = names(app).await?;
    let mut targets: Vec<(String, String)> =
        names.iter().map(|(id, name)| (id.clone(), name.clone())).collect();
    targets.sort_by(|a, b| a.1.cmp(&b.1));
    targets.insert(0, ("school".into(), t.whole_school.to_owned()));
    let choice = |(id, name): (String, String)| Choice { chosen: id == form.target, id, name };
    let (ipads, _) = app.inventory.enrolments().await?;
    let ipad = |ipad: Enrolment| {
        let id = ipad.id.to_string();
        let device = ipad.device.and_then(|device| names.get(&format!("device:{device}")));
        let name = device.cloned().unwrap_or(ipad.serial);
        Choice { chosen: asked.0.text("ipad") == id, id, name }
    };
    let time = |when: When| Choice {
        id: when.text().into(),
        name: t.when(when).into(),
        chosen: when.text() == form.when,
    };
    Ok(RulePage {
        p: visit.page(Here::IpadRules),
        id: id.map(|id| id.to_string()),
        groups: form.groups(t, language(visit.lang)),
        targets: targets.into_iter().map(choice).collect(),
        times: When::ALL.map(time).into(),
        ipads: ipads.into_iter().map(ipad).collect(),
        during: moments(t, During::of(asked.0.text("during"))),
        problems: Shown::default(),
        preview: None,
        form,
    })
}

/// Rooms, classes and the devices that are iPads: by target, the name.
async fn names(app: &App) -> Answer<HashMap<String, String>> {
    let text = |target| form::target_text(Some(target));
    let mut names = HashMap::new();
    for room in app.inventory.rooms().await? {
        names.insert(text(Target::Room(room.id)), room.name);
    }
    for group in app.inventory.groups().await? {
        names.insert(text(Target::Group(group.id)), group.name);
    }
    for ipad in app.inventory.ruled_ipads(inventory::clock::now()).await?.0 {
        names.insert(text(Target::Device(ipad.subject.device)), ipad.name);
    }
    Ok(names)
}

fn target_name(t: &Texts, names: &HashMap<String, String>, target: Option<Target>) -> String {
    match target {
        None => t.whole_school.to_owned(),
        Some(target) => names.get(&form::target_text(Some(target))).cloned().unwrap_or_else(|| "–".into()),
    }
}

fn moments(t: &Texts, chosen: During) -> Vec<Choice> {
    let choice = |during: During| Choice {
        id: during.text().into(),
        name: t.during(during).into(),
        chosen: during == chosen,
    };
    During::ALL.map(choice).into()
}

/// What a rule says, in a line.
fn says(lang: Lang, content: &Content) -> String {
    let t = Texts::of(lang);
    let mut said: Vec<String> = content.presets.iter().map(|_| t.preset_school_ipad.to_owned()).collect();
    let count = content.restrictions.iter().count();
    if count > 0 {
        said.push(t.restrictions_count(count));
    }
    said.extend(content.parts.iter().map(|part| part.payload.kind().title_in(language(lang)).to_owned()));
    said.extend(content.update.iter().map(|update| format!("iPadOS {}", update.version)));
    said.dedup();
    said.join(", ")
}

fn ruled(lang: Lang, name: String, supervised: bool, explained: &[Explained]) -> Ruled {
    let (conflicts, rest): (Vec<_>, Vec<_>) = explained.iter().partition(|it| is_conflict(it));
    let rows = |all: Vec<&Explained>| all.into_iter().map(|it| row(lang, it)).collect();
    Ruled { name, conflicts: rows(conflicts), rest: rows(rest), unsupervised: !supervised }
}

fn is_conflict(explained: &Explained) -> bool {
    match &explained.outcome {
        Outcome::Applied { why, .. } => *why != Why::Agreed,
        Outcome::LeftOut(_) => true,
    }
}

fn row(lang: Lang, explained: &Explained) -> RuledRow {
    let t = Texts::of(lang);
    let (value, why) = match &explained.outcome {
        Outcome::Applied { value, why } => (
            value.as_ref().map_or_else(String::new, |value| value_of(t, &explained.subject, value)),
            why_badge(t, *why),
        ),
        Outcome::LeftOut(why_not) => (t.rule_left_out.to_owned(), Badge::new("warn", &left_out(t, why_not))),
    };
    let said = |said: &Said| {
        let value = said.value.as_ref().map(|value| value_of(t, &explained.subject, value));
        let layer = format!("{} „{}“", t.rank(said.rank), said.layer);
        value.map_or(layer.clone(), |value| format!("{layer}: {value}"))
    };
    RuledRow {
        subject: subject(lang, &explained.subject),
        value,
        why,
        said: explained.said.iter().map(said).collect(),
    }
}

fn subject(lang: Lang, subject: &Subject) -> String {
    let language = language(lang);
    match subject {
        Subject::Restriction(key) => {
            Restriction::find(key).map_or(*key, |known| known.title_in(language)).to_owned()
        }
        Subject::Part { kind, which: Some(which) } => format!("{} {which}", kind.title_in(language)),
        Subject::Part { kind, which: None } => kind.title_in(language).to_owned(),
        Subject::Update => "iPadOS".to_owned(),
    }
}

fn value_of(t: &Texts, subject: &Subject, value: &Setting) -> String {
    match (subject, value) {
        (Subject::Restriction(key), Setting::Bool(yes)) => t.switch(key, *yes).to_owned(),
        (_, Setting::Bool(yes)) => if *yes { t.yes } else { t.no }.to_owned(),
        (_, Setting::Int(number)) => number.to_string(),
        (_, Setting::Real(number)) => number.to_string(),
        (_, Setting::Text(text)) => text.clone(),
        (_, Setting::List(items)) => items.iter().cloned().collect::<Vec<_>>().join(", "),
    }
}

fn why_badge(t: &Texts, why: Why) -> Badge {
    let kind = match why {
        Why::Agreed => "good",
        Why::Arbitrary | Why::NothingInCommon => "bad",
        Why::MoreSpecific | Why::Stricter | Why::Intersection | Why::Union | Why::Combined => "idle",
    };
    Badge::new(kind, t.why(why))
}

fn left_out(t: &Texts, why_not: &WhyNot) -> String {
    match why_not {
        WhyNot::NeedsVersion(version) => t.needs_version(&version.to_string()),
        WhyNot::NeedsSupervision => t.needs_supervision.to_owned(),
        WhyNot::NotOnSharedIpad => t.not_on_shared.to_owned(),
        WhyNot::MissingPart(part) => t.missing_part(part.as_str()),
        WhyNot::NameTaken(part) => t.name_taken(part.as_str()),
        WhyNot::Enrolment => t.enrolment_is_no_rule.to_owned(),
    }
}

fn language(lang: Lang) -> Language {
    match lang {
        Lang::De => Language::De,
        Lang::En => Language::En,
    }
}

impl Texts {
    /// The word before a layer's name.
    fn rank(&self, rank: Rank) -> &'static str {
        match rank {
            Rank::School => self.whole_school,
            Rank::Room => self.room,
            Rank::Class => self.a_class,
            Rank::Device => self.a_device,
            Rank::Lesson => self.by_time,
            Rank::Exam => self.an_exam,
        }
    }

    fn during(&self, during: During) -> &'static str {
        match during {
            During::Now => self.during_now,
            During::Lesson => self.during_lesson,
            During::Leisure => self.during_leisure,
        }
    }

    fn when(&self, when: When) -> &'static str {
        match when {
            When::Always => self.when_always,
            When::Lessons => self.when_lessons,
            When::SchoolHours => self.when_school_hours,
            When::AtSchool => self.when_at_school,
        }
    }

    /// A restriction's two positions: what begins with `allow` permits, everything else demands.
    fn switch(&self, key: &str, on: bool) -> &'static str {
        let permits = key.starts_with("allow") || key.starts_with("safariAllow");
        match (permits, on) {
            (true, true) => self.switch_allowed,
            (true, false) => self.switch_forbidden,
            (false, true) => self.switch_demanded,
            (false, false) => self.switch_free,
        }
    }

    fn why(&self, why: Why) -> &'static str {
        match why {
            Why::Agreed => self.why_agreed,
            Why::MoreSpecific => self.why_more_specific,
            Why::Stricter => self.why_stricter,
            Why::Intersection => self.why_intersection,
            Why::NothingInCommon => self.why_nothing_in_common,
            Why::Union => self.why_union,
            Why::Combined => self.why_combined,
            Why::Arbitrary => self.why_arbitrary,
        }
    }
}
