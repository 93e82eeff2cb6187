//! Rules for iPads: what is wanted of whom and when, and what of it holds for one of them. Pages and API meet here.

use inventory::gate::Target;
use inventory::lessons::Bell;
use inventory::mdm::{Holding, IpadRule, Moment, NewIpadRule, RuledIpad, When};
use inventory::{EnrolmentId, Error, IpadRuleId, UnixMillis, clock};
use ipados::profile::{Part, Payload, Scep, WifiSecurity};
use ipados::rules::{Content, Layer, Merged, Provided, merge, provide};
use ipados::values::{Blob, Secret, ValueError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::problem::Problem;

/// A rule as somebody wishes it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleWish {
    pub(crate) name: String,
    /// Whom it is about; the whole school when absent.
    #[serde(default)]
    pub(crate) target: Option<Target>,
    pub(crate) when: When,
    /// What it wants: `presets`, `restrictions`, `parts`, `update`. A password that is empty stays what it was.
    #[schemars(with = "serde_json::Value")]
    pub(crate) content: Content,
}

/// A rule as people see it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct RuleShown {
    pub(crate) id: IpadRuleId,
    pub(crate) name: String,
    /// Whom it is about; the whole school when absent.
    pub(crate) target: Option<Target>,
    pub(crate) when: When,
    /// What it wants, without passwords.
    #[schemars(with = "serde_json::Value")]
    pub(crate) content: Content,
    pub(crate) changed_by: String,
    pub(crate) changed_at: UnixMillis,
}

impl From<IpadRule> for RuleShown {
    fn from(rule: IpadRule) -> Self {
        let NewIpadRule { name, target, when, content } = rule.new;
        let content = content.without_secrets();
        Self {
            id: rule.id,
            name,
            target,
            when,
            content,
            changed_by: rule.changed_by,
            changed_at: rule.changed_at,
        }
    }
}

/// What one asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum During {
    /// As it is now.
    #[default]
    Now,
    /// In a lesson, at school.
    Lesson,
    /// When there is no school.
    Leisure,
}

impl During {
    pub(crate) const ALL: [Self; 3] = [Self::Now, Self::Lesson, Self::Leisure];

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Lesson => "lesson",
            Self::Leisure => "leisure",
        }
    }

    /// What is asked about; now, unless something else is said.
    pub(crate) fn of(text: &str) -> Self {
        Self::ALL.into_iter().find(|during| during.text() == text).unwrap_or_default()
    }
}

/// All rules; rows that cannot be used are in the second list.
pub(crate) async fn all(app: &App) -> Answer<(Vec<RuleShown>, Vec<Error>)> {
    let (rules, problems) = app.inventory.ipad_rules(&app.vault).await?;
    Ok((rules.into_iter().map(RuleShown::from).collect(), problems))
}

/// One rule.
pub(crate) async fn find(app: &App, id: IpadRuleId) -> Answer<RuleShown> {
    let (rules, _) = all(app).await?;
    rules.into_iter().find(|rule| rule.id == id).ok_or(Failure::Gone)
}

/// Saves a rule: a new one, or in the place of the one with that id.
pub(crate) async fn save(
    app: &App,
    me: &SignedIn,
    id: Option<IpadRuleId>,
    wish: RuleWish,
) -> Answer<IpadRuleId> {
    let (rules, _) = app.inventory.ipad_rules(&app.vault).await?;
    let new = with_secrets(&rules, id, wish);
    let lacks_password = |part: &Part| match &part.payload {
        Payload::Wifi(wifi) => {
            matches!(&wifi.security, WifiSecurity::Password { password, .. } if password.expose().len() < 8)
        }
        _ => false,
    };
    if new.content.parts.iter().any(lacks_password) {
        return Err(Failure::field("wifi_password", Problem::WifiPassword));
    }
    Ok(app.inventory.save_ipad_rule(me.by(), &app.vault, id, &new).await?)
}

/// What holds for an iPad, and why; with a rule as it would be, if one is given.
pub(crate) async fn holding(
    app: &App,
    ipad: EnrolmentId,
    during: During,
    draft: Option<(Option<IpadRuleId>, RuleWish)>,
) -> Answer<(RuledIpad, Merged)> {
    let now = clock::now();
    let (mut rules, _) = app.inventory.ipad_rules(&app.vault).await?;
    if let Some((id, wish)) = draft {
        let new = with_secrets(&rules, id, wish);
        rules.retain(|rule| Some(rule.id) != id);
        let id = id.unwrap_or_else(IpadRuleId::random);
        rules.push(IpadRule { id, new, changed_by: String::new(), changed_at: now });
    }
    let exams = app.inventory.ipad_exams(now).await?;
    let (ipads, _) = app.inventory.ruled_ipads(now).await?;
    let mut ipad = ipads.into_iter().find(|known| known.id == ipad).ok_or(Failure::Gone)?;
    let bell = match during {
        During::Now => app.inventory.grid().await?.bell_at(now),
        During::Lesson => Bell { lesson: true, school: true, until: now },
        During::Leisure => Bell { lesson: false, school: false, until: now },
    };
    ipad.present |= during == During::Lesson;
    let mut layers = Holding::of(&rules, &exams, &ipad, Moment { at: now, bell }).layers();
    layers.extend(provided(app, &layers)?);
    let merged = merge(&layers, ipad.facts);
    Ok((ipad, merged))
}

/// What the MDM server adds, without what only it knows.
fn provided(app: &App, layers: &[Layer]) -> Answer<Option<Layer>> {
    let internal = |_: ValueError| Failure::Internal;
    let url = app.school.mdm_url.as_ref().map_or("https://mdm.invalid", |url| url.as_str());
    let scep = Scep {
        url: format!("{url}/scep").parse().map_err(internal)?,
        ca_name: None,
        subject: Vec::new(),
        challenge: Secret::new(String::new()),
        ca_fingerprint: None,
    };
    let authority = Blob::from(app.school.authority.as_bytes().to_vec());
    let school = app.school.name.parse().map_err(internal)?;
    provide(layers, &school, Provided { authority, scep }).map_err(internal)
}

fn with_secrets(rules: &[IpadRule], id: Option<IpadRuleId>, wish: RuleWish) -> NewIpadRule {
    let RuleWish { name, target, when, content } = wish;
    let before = rules.iter().find(|rule| Some(rule.id) == id);
    let content = match before {
        Some(before) => content.with_secrets_of(&before.new.content),
        None => content,
    };
    NewIpadRule { name, target, when, content }
}
