//! A rule as a form, and back. What the form has no field for stays as it is.

use std::collections::{BTreeMap, BTreeSet};

use inventory::gate::Target;
use inventory::mdm::When;
use ipados::catalogue::{Group, Kind as Takes, Language, Restriction, Setting};
use ipados::os::OsVersion;
use ipados::profile::{
    AirPrint, Dns, DnsTransport, Eap, HomeScreen, Icon, Part, Passcode, Payload, Printer, SharedDevice,
    WebClip, WebFilter, Wifi, WifiSecurity, WifiStandard,
};
use ipados::rules::{Content, IDENTITY, Preset, SCHOOL_CA, Update};
use ipados::secret::Secret;
use ipados::values::{HostName, Label, ValueError};

use crate::fields::Fields;
use crate::ipad_rules::RuleWish;
use crate::problem::Problem;
use crate::texts::Texts;

/// What stands in the form.
#[derive(Debug, Clone, Default)]
pub(crate) struct RuleForm {
    pub(crate) name: String,
    /// `school`, `room:…`, `group:…`, `device:…` or `user:…`.
    pub(crate) target: String,
    pub(crate) when: String,
    pub(crate) school_ipad: bool,
    /// By key: the value as text.
    pub(crate) restrictions: BTreeMap<String, String>,
    pub(crate) ssid: String,
    pub(crate) hidden: bool,
    /// `password`, `certificate` or `open`.
    pub(crate) security: String,
    pub(crate) radius: String,
    pub(crate) clips: String,
    pub(crate) filter: bool,
    pub(crate) filter_permitted: String,
    pub(crate) filter_denied: String,
    pub(crate) filter_only: String,
    pub(crate) dns: String,
    pub(crate) printers: String,
    pub(crate) dock: String,
    pub(crate) screens: String,
    pub(crate) passcode: String,
    pub(crate) footnote: String,
    pub(crate) update_version: String,
    pub(crate) update_deadline: String,
    /// What has no field.
    pub(crate) others: Vec<String>,
}

/// A heading with its restrictions.
pub(crate) struct RestrictionGroup {
    pub(crate) title: &'static str,
    /// How many are set.
    pub(crate) set: usize,
    pub(crate) rows: Vec<RestrictionRow>,
}

/// A restriction in the form.
pub(crate) struct RestrictionRow {
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    /// What an iPad needs for it.
    pub(crate) needs: String,
    pub(crate) field: RestrictionField,
}

/// How it is entered.
pub(crate) enum RestrictionField {
    /// One of these: value, label, chosen.
    Choice(Vec<(String, String, bool)>),
    /// A number.
    Number { min: i64, max: i64, value: String },
    /// Bundle identifiers, one on a line.
    List(String),
}

type Problems = Vec<(&'static str, Problem)>;

impl RuleForm {
    /// What was typed.
    pub(crate) fn of_fields(fields: &Fields) -> Self {
        let text = |name: &str| fields.verbatim(name).trim().to_owned();
        let ticked = |name: &str| !fields.text(name).is_empty();
        let restrictions = Restriction::all().iter().filter_map(|known| {
            let value = text(&format!("r.{}", known.key));
            (!value.is_empty()).then(|| (known.key.to_owned(), value))
        });
        Self {
            name: text("name"),
            target: text("target"),
            when: text("when"),
            school_ipad: ticked("school_ipad"),
            restrictions: restrictions.collect(),
            ssid: text("ssid"),
            hidden: ticked("hidden"),
            security: text("security"),
            radius: text("radius"),
            clips: text("clips"),
            filter: ticked("filter"),
            filter_permitted: text("filter_permitted"),
            filter_denied: text("filter_denied"),
            filter_only: text("filter_only"),
            dns: text("dns"),
            printers: text("printers"),
            dock: text("dock"),
            screens: text("screens"),
            passcode: text("passcode"),
            footnote: text("footnote"),
            update_version: text("update_version"),
            update_deadline: text("update_deadline"),
            others: Vec::new(),
        }
    }

    /// What a rule says.
    pub(crate) fn of_rule(
        lang: Language,
        name: &str,
        target: Option<Target>,
        when: When,
        content: &Content,
    ) -> Self {
        let mut form = Self {
            name: name.to_owned(),
            target: target_text(target),
            when: when.text().to_owned(),
            school_ipad: content.presets.contains(&Preset::SchoolIpad),
            restrictions: content.restrictions.iter().map(|(k, v)| (k.to_owned(), value_text(v))).collect(),
            ..Self::default()
        };
        if let Some(update) = &content.update {
            form.update_version = update.version.to_string();
            form.update_deadline = update.deadline.strftime("%Y-%m-%dT%H:%M").to_string();
        }
        let mut rest = Fitting::default();
        for part in &content.parts {
            if !form.take(part, &mut rest) {
                let title = part.payload.kind().title_in(lang);
                form.others.push(format!("{title} ({})", part.name));
            }
        }
        form
    }

    /// Shows a part in its fields; `false` where there are none, or another part is there already.
    fn take(&mut self, part: &Part, seen: &mut Fitting) -> bool {
        if !fits(&part.payload) || !seen.first(&part.payload) {
            return false;
        }
        match &part.payload {
            Payload::Wifi(wifi) => {
                self.ssid = wifi.ssid.to_string();
                self.hidden = wifi.hidden;
                (self.security, self.radius) = match &wifi.security {
                    WifiSecurity::Open => ("open".into(), String::new()),
                    WifiSecurity::Password { .. } => ("password".into(), String::new()),
                    WifiSecurity::Enterprise { server_names, .. } => (
                        "certificate".into(),
                        server_names.first().map_or_else(String::new, HostName::to_string),
                    ),
                };
            }
            Payload::WebClip(clip) => push_line(&mut self.clips, &format!("{} | {}", clip.label, clip.url)),
            Payload::WebFilter(filter) => {
                self.filter = filter.automatic;
                self.filter_permitted = lines(&filter.permitted);
                self.filter_denied = lines(&filter.denied);
                let page = |(url, title): (&_, &Label)| format!("{title} | {url}");
                self.filter_only = filter.only.iter().flatten().map(page).collect::<Vec<_>>().join("\n");
            }
            Payload::Dns(dns) => {
                self.dns = match &dns.transport {
                    DnsTransport::Https(url) => url.to_string(),
                    DnsTransport::Tls(name) => name.to_string(),
                }
            }
            Payload::AirPrint(airprint) => {
                for printer in &airprint.printers {
                    push_line(&mut self.printers, &format!("{} | {}", printer.address, printer.path));
                }
            }
            Payload::HomeScreen(home) => {
                self.dock = icons(&home.dock);
                self.screens = home.pages.iter().map(|page| icons(page)).collect::<Vec<_>>().join("\n\n");
            }
            Payload::Passcode(passcode) => {
                self.passcode = passcode.min_length.map_or(0, u16::from).to_string();
            }
            Payload::SharedDevice(screen) => {
                self.footnote = screen.footnote.as_ref().map_or_else(String::new, Label::to_string);
            }
            _ => return false,
        }
        true
    }

    /// What is wished; what the form has no field for is taken from `before`.
    pub(crate) fn wish(&self, password: &str, before: &Content) -> Result<RuleWish, Problems> {
        let mut wrong = Problems::new();
        let kept = before.presets.iter().filter(|preset| **preset != Preset::SchoolIpad).cloned();
        let mut content = Content { presets: kept.collect(), ..Content::default() };
        if self.school_ipad {
            content.presets.insert(Preset::SchoolIpad);
        }
        for (key, text) in &self.restrictions {
            let Some(known) = Restriction::find(key) else { continue };
            let value = setting(known, text);
            if value.is_none_or(|value| content.restrictions.set(key, value).is_err()) {
                wrong.push((
                    "restrictions",
                    Problem::NoChoice(format!("{}: {text}", known.title_in(Language::De))),
                ));
            }
        }
        let mut seen = Fitting::default();
        let kept = before.parts.iter().filter(|part| !(fits(&part.payload) && seen.first(&part.payload)));
        content.parts = kept.cloned().collect();
        let mut payloads = Vec::new();
        self.network(password, &mut payloads, &mut wrong);
        self.screen(&mut payloads, &mut wrong);
        for payload in payloads {
            note(&mut wrong, "", part(payload)).into_iter().for_each(|part| content.parts.push(part));
        }
        content.update = self.update(&mut wrong);
        let target = target(&self.target);
        if target.is_none() {
            wrong.push(("target", Problem::NoChoice(self.target.chars().take(60).collect())));
        }
        let when = When::ALL.into_iter().find(|when| when.text() == self.when);
        if when.is_none() {
            wrong.push(("when", Problem::NoChoice(self.when.chars().take(20).collect())));
        }
        match (target, when) {
            (Some(target), Some(when)) if wrong.is_empty() => {
                Ok(RuleWish { name: self.name.clone(), target, when, content })
            }
            _ => Err(wrong),
        }
    }

    fn network(&self, password: &str, out: &mut Vec<Payload>, wrong: &mut Problems) {
        if !self.ssid.is_empty() {
            let security = match self.security.as_str() {
                "open" => Some(WifiSecurity::Open),
                "certificate" => note(wrong, "radius", with_certificates(&self.radius)),
                _ => Some(WifiSecurity::Password {
                    standard: WifiStandard::Wpa2,
                    password: Secret::new(password.to_owned()),
                }),
            };
            let ssid = note(wrong, "ssid", self.ssid.parse());
            out.extend(ssid.zip(security).map(|(ssid, security)| {
                Payload::Wifi(Wifi {
                    ssid,
                    hidden: self.hidden,
                    auto_join: true,
                    own_address: true,
                    security,
                })
            }));
        }
        let pages = |text: &str| note_all(text, |line| Some((second(line)?, first(line)?)));
        let permitted = note_all(&self.filter_permitted, |line| line.parse().ok());
        let denied = note_all(&self.filter_denied, |line| line.parse().ok());
        match (permitted, denied, pages(&self.filter_only)) {
            (Ok(permitted), Ok(denied), Ok(only)) => {
                let only: BTreeMap<_, _> = only.into_iter().collect();
                let (permitted, denied): (BTreeSet<_>, BTreeSet<_>) =
                    (permitted.into_iter().collect(), denied.into_iter().collect());
                let only = (!only.is_empty()).then_some(only);
                if self.filter || !denied.is_empty() || only.is_some() {
                    out.push(Payload::WebFilter(WebFilter {
                        automatic: self.filter,
                        permitted,
                        denied,
                        only,
                    }));
                }
            }
            (Err(line), ..) => wrong.push(("filter_permitted", Problem::BadLine(line))),
            (_, Err(line), _) => wrong.push(("filter_denied", Problem::BadLine(line))),
            (.., Err(line)) => wrong.push(("filter_only", Problem::BadLine(line))),
        }
        if !self.dns.is_empty() {
            let transport = match self.dns.parse() {
                Ok(url) => Ok(DnsTransport::Https(url)),
                Err(_) => self.dns.parse().map(DnsTransport::Tls),
            };
            out.extend(note(wrong, "dns", transport).map(|transport| {
                Payload::Dns(Dns {
                    transport,
                    addresses: vec![],
                    domains: vec![],
                    only_in: vec![],
                    locked: true,
                })
            }));
        }
        let printer = |line: &str| {
            let (address, path) = (first(line)?, second(line).or_else(|| "ipp/print".parse().ok())?);
            Some(Printer { address, path, port: None, tls: false })
        };
        match note_all(&self.printers, printer) {
            Ok(printers) if printers.is_empty() => {}
            Ok(printers) => out.push(Payload::AirPrint(AirPrint { printers })),
            Err(line) => wrong.push(("printers", Problem::BadLine(line))),
        }
    }

    fn screen(&self, out: &mut Vec<Payload>, wrong: &mut Problems) {
        let clip = |line: &str| {
            let (label, url) = (first(line)?, second(line)?);
            Some(WebClip { url, label, icon: None, removable: false, full_screen: false })
        };
        match note_all(&self.clips, clip) {
            Ok(clips) => out.extend(clips.into_iter().map(Payload::WebClip)),
            Err(line) => wrong.push(("clips", Problem::BadLine(line))),
        }
        let icon = |line: &str| match line.parse() {
            Ok(app) => Some(Icon::App { app }),
            Err(_) => Some(Icon::WebClip { url: line.parse().ok()? }),
        };
        let text = self.screens.replace("\r\n", "\n");
        let pages: Result<Vec<Vec<Icon>>, String> = text
            .split("\n\n")
            .map(|page| note_all(page, icon))
            .filter(|page| page != &Ok(Vec::new()))
            .collect();
        match (note_all(&self.dock, icon), pages) {
            (Ok(dock), Ok(pages)) if dock.is_empty() && pages.is_empty() => {}
            (Ok(dock), Ok(pages)) => out.push(Payload::HomeScreen(HomeScreen { dock, pages })),
            (Err(line), _) => wrong.push(("dock", Problem::BadLine(line))),
            (_, Err(line)) => wrong.push(("screens", Problem::BadLine(line))),
        }
        if !self.passcode.is_empty() {
            let length = self.passcode.parse::<u16>().ok().and_then(|length| length.try_into().ok());
            match length {
                Some(length) => out.push(Payload::Passcode(Passcode {
                    required: true,
                    allow_simple: true,
                    min_length: Some(length),
                    ..Passcode::default()
                })),
                None => wrong.push(("passcode", Problem::NoNumber(self.passcode.chars().take(20).collect()))),
            }
        }
        if !self.footnote.is_empty() {
            let screen = |footnote| SharedDevice { asset_tag: None, footnote: Some(footnote) };
            out.extend(note(wrong, "footnote", self.footnote.parse()).map(screen).map(Payload::SharedDevice));
        }
    }

    fn update(&self, wrong: &mut Problems) -> Option<Update> {
        if self.update_version.is_empty() {
            return None;
        }
        let version = self.update_version.parse().ok();
        if version.is_none() {
            wrong.push(("update_version", Problem::NoChoice(self.update_version.chars().take(20).collect())));
        }
        let deadline = self.update_deadline.parse().ok();
        if deadline.is_none() {
            wrong.push(("update_deadline", Problem::NoTime(self.update_deadline.chars().take(30).collect())));
        }
        Some(Update { version: version?, deadline: deadline? })
    }

    /// The restrictions, as the form shows them.
    pub(crate) fn groups(&self, t: &Texts, lang: Language) -> Vec<RestrictionGroup> {
        let shown =
            |known: &&Restriction| known.deprecated.is_none() || self.restrictions.contains_key(known.key);
        let group = |group: Group| {
            let of = Restriction::all().iter().filter(shown).filter(|known| known.group() == group);
            let rows: Vec<RestrictionRow> = of.map(|known| self.row(t, lang, known)).collect();
            let set = rows.iter().filter(|row| self.restrictions.contains_key(row.key)).count();
            RestrictionGroup { title: group.title(lang), set, rows }
        };
        Group::ALL.into_iter().map(group).filter(|group| !group.rows.is_empty()).collect()
    }

    fn row(&self, t: &Texts, lang: Language, known: &'static Restriction) -> RestrictionRow {
        let value = self.restrictions.get(known.key).cloned().unwrap_or_default();
        let choice = |text: String, label: String| {
            let chosen = text == value;
            (text, label, chosen)
        };
        let unset = || choice(String::new(), t.rule_unset.to_owned());
        let field = match known.kind {
            Takes::Bool { .. } => RestrictionField::Choice(vec![
                unset(),
                choice("true".into(), t.switch(known.key, true).to_owned()),
                choice("false".into(), t.switch(known.key, false).to_owned()),
            ]),
            Takes::Int { min, max, .. } => RestrictionField::Number { min, max, value },
            Takes::Real { choices } => {
                let texts = choices.iter().map(|number| choice(number.to_string(), number.to_string()));
                RestrictionField::Choice([unset()].into_iter().chain(texts).collect())
            }
            Takes::Choice { choices } => {
                let texts = choices.iter().map(|word| choice((*word).to_owned(), (*word).to_owned()));
                RestrictionField::Choice([unset()].into_iter().chain(texts).collect())
            }
            Takes::List => RestrictionField::List(value),
        };
        RestrictionRow { key: known.key, title: known.title_in(lang), needs: needs(t, known), field }
    }
}

/// Each iPad proves itself by a certificate of its own (EAP-TLS), the server by one of the school's authority.
fn with_certificates(radius: &str) -> Result<WifiSecurity, ValueError> {
    Ok(WifiSecurity::Enterprise {
        standard: WifiStandard::Wpa2,
        eap: Eap::Tls { identity: IDENTITY.parse()? },
        server_names: vec![radius.parse()?],
        anchors: vec![SCHOOL_CA.parse()?],
    })
}

fn needs(t: &Texts, known: &Restriction) -> String {
    let since = (known.since > OsVersion::ANY).then(|| format!("iPadOS {}", known.since));
    let supervised = known.supervised.then(|| t.supervised.to_owned());
    since.into_iter().chain(supervised).collect::<Vec<_>>().join(" · ")
}

/// The target that a choice names; the inner `None` is the whole school.
pub(crate) fn target(text: &str) -> Option<Option<Target>> {
    if text == "school" {
        return Some(None);
    }
    let (kind, id) = text.split_once(':')?;
    Some(Some(match kind {
        "room" => Target::Room(id.parse().ok()?),
        "group" => Target::Group(id.parse().ok()?),
        "device" => Target::Device(id.parse().ok()?),
        "user" => Target::User(id.parse().ok()?),
        _ => return None,
    }))
}

pub(crate) fn target_text(target: Option<Target>) -> String {
    match target {
        None => "school".into(),
        Some(Target::Room(id)) => format!("room:{id}"),
        Some(Target::Group(id)) => format!("group:{id}"),
        Some(Target::Device(id)) => format!("device:{id}"),
        Some(Target::User(id)) => format!("user:{id}"),
    }
}

/// Which kinds were seen already: of most the form has fields for one.
#[derive(Default)]
struct Fitting(BTreeSet<ipados::profile::Kind>);

impl Fitting {
    fn first(&mut self, payload: &Payload) -> bool {
        self.0.insert(payload.kind()) || matches!(payload, Payload::WebClip(_) | Payload::AirPrint(_))
    }
}

/// Whether the form shows everything that a payload says.
fn fits(payload: &Payload) -> bool {
    let app = |icon: &Icon| !matches!(icon, Icon::Folder { .. });
    match payload {
        Payload::Wifi(wifi) => {
            let security = match &wifi.security {
                WifiSecurity::Open | WifiSecurity::Password { standard: WifiStandard::Wpa2, .. } => true,
                WifiSecurity::Password { .. } => false,
                WifiSecurity::Enterprise { server_names, .. } => {
                    let name = server_names.first().map_or("", HostName::as_str);
                    with_certificates(name).is_ok_and(|security| security == wifi.security)
                }
            };
            wifi.auto_join && wifi.own_address && security
        }
        Payload::WebClip(clip) => clip.icon.is_none() && !clip.removable && !clip.full_screen,
        Payload::WebFilter(_) => true,
        Payload::Dns(dns) => {
            dns.addresses.is_empty() && dns.domains.is_empty() && dns.only_in.is_empty() && dns.locked
        }
        Payload::AirPrint(airprint) => airprint.printers.iter().all(|it| it.port.is_none() && !it.tls),
        Payload::HomeScreen(home) => home.dock.iter().chain(home.pages.iter().flatten()).all(app),
        Payload::Passcode(passcode) => {
            let simple = Passcode { min_length: None, ..passcode.clone() };
            simple == Passcode { required: true, allow_simple: true, ..Passcode::default() }
        }
        Payload::SharedDevice(screen) => screen.asset_tag.is_none(),
        _ => false,
    }
}

/// Rules of several people meet in one iPad, so the name of a part says what it is about.
fn part(payload: Payload) -> Result<Part, ValueError> {
    let (word, of) = match &payload {
        Payload::Wifi(wifi) => ("wifi", wifi.ssid.to_string()),
        Payload::WebClip(clip) => ("clip", clip.url.to_string()),
        Payload::AirPrint(airprint) => ("printers", serde_json::to_string(airprint).unwrap_or_default()),
        Payload::WebFilter(_) => return named("web-filter", payload),
        Payload::Dns(_) => return named("dns", payload),
        Payload::HomeScreen(_) => return named("home-screen", payload),
        Payload::Passcode(_) => return named("passcode", payload),
        _ => return named("lock-screen", payload),
    };
    let hash: String = blake3::hash(of.as_bytes()).to_hex().chars().take(8).collect();
    named(&format!("{word}-{hash}"), payload)
}

fn named(name: &str, payload: Payload) -> Result<Part, ValueError> {
    Ok(Part { name: name.parse()?, title: None, payload })
}

fn setting(known: &Restriction, text: &str) -> Option<Setting> {
    Some(match known.kind {
        Takes::Bool { .. } => Setting::Bool(text.parse().ok()?),
        Takes::Int { .. } => Setting::Int(text.parse().ok()?),
        Takes::Real { .. } => Setting::Real(text.parse().ok()?),
        Takes::Choice { .. } => Setting::Text(text.to_owned()),
        Takes::List => Setting::List(
            text.split_whitespace().map(|app| app.trim_matches([',', ';']).to_owned()).collect(),
        ),
    })
}

fn value_text(value: &Setting) -> String {
    match value {
        Setting::Bool(yes) => yes.to_string(),
        Setting::Int(number) => number.to_string(),
        Setting::Real(number) => number.to_string(),
        Setting::Text(text) => text.clone(),
        Setting::List(items) => items.iter().cloned().collect::<Vec<_>>().join("\n"),
    }
}

/// Every line that is not empty; or the first one that cannot be read.
fn note_all<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| read(line).ok_or_else(|| line.chars().take(80).collect())).collect()
}

fn note<T>(wrong: &mut Problems, field: &'static str, value: Result<T, ValueError>) -> Option<T> {
    value.map_err(|error| wrong.push((field, Problem::NoValue(error)))).ok()
}

/// What stands before the bar.
fn first<T: std::str::FromStr>(line: &str) -> Option<T> {
    line.split_once('|').map_or(line, |(first, _)| first).trim().parse().ok()
}

/// What stands behind the bar.
fn second<T: std::str::FromStr>(line: &str) -> Option<T> {
    line.split_once('|')?.1.trim().parse().ok()
}

fn lines<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join("\n")
}

fn icons(icons: &[Icon]) -> String {
    let text = |icon: &Icon| match icon {
        Icon::App { app } => app.to_string(),
        Icon::WebClip { url } => url.to_string(),
        Icon::Folder { name, .. } => name.to_string(),
    };
    lines(icons.iter().map(text))
}

fn push_line(text: &mut String, line: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> Fields {
        Fields::from([
            ("name", "Klasse 7b"),
            ("target", "school"),
            ("when", "lessons"),
            ("school_ipad", "on"),
            ("r.allowCamera", "false"),
            ("r.blockedAppBundleIDs", "com.apple.mobilesafari\ncom.apple.games"),
            ("ssid", "Schule"),
            ("clips", "Moodle | https://moodle.schule.example\nDuden | https://duden.de"),
            ("filter", "on"),
            ("filter_denied", "https://example.org"),
            ("dns", "https://dns.schule.example/dns-query"),
            ("printers", "drucker.schule.example | ipp/print"),
            ("dock", "com.apple.mobilesafari"),
            ("screens", "com.apple.calculator\n\ncom.apple.iBooks\nhttps://duden.de"),
            ("passcode", "6"),
            ("footnote", "Bitte im Sekretariat abgeben"),
            ("update_version", "18.2"),
            ("update_deadline", "2026-12-01T18:00"),
        ])
    }

    #[test]
    fn what_was_typed_is_shown_again() {
        let wish = RuleForm::of_fields(&filled()).wish("geheimes Wort", &Content::default()).unwrap();
        assert_eq!(wish.content.parts.len(), 9, "{:?}", wish.content.parts);
        let form = RuleForm::of_rule(Language::De, &wish.name, wish.target, wish.when, &wish.content);
        assert_eq!(form.others, Vec::<String>::new());
        let again = form.wish("geheimes Wort", &wish.content).unwrap();
        assert_eq!((again.content, again.when, again.target), (wish.content, When::Lessons, None));
    }

    #[test]
    fn a_network_with_certificates_is_shown_again_and_needs_the_servers_name() {
        let of = |radius: &str| {
            let fields = [("name", "x"), ("target", "school"), ("when", "always"), ("ssid", "Schule")];
            let more = [("security", "certificate"), ("radius", radius)];
            let [a, b, c, d] = fields;
            let [e, f] = more;
            RuleForm::of_fields(&Fields::from([a, b, c, d, e, f])).wish("", &Content::default())
        };
        let wish = of("radius.schule.example").unwrap();
        let form = RuleForm::of_rule(Language::De, "x", None, When::Always, &wish.content);
        assert_eq!((form.security.as_str(), form.radius.as_str()), ("certificate", "radius.schule.example"));
        assert_eq!(form.wish("", &wish.content).unwrap().content, wish.content);
        assert_eq!(of("").unwrap_err()[0].0, "radius");
    }

    #[test]
    fn what_has_no_field_stays() {
        let app_lock = Preset::ExamOneApp("com.apple.calculator".parse().unwrap());
        let locked =
            Content { presets: [app_lock.clone()].into(), parts: app_lock.parts(), ..Content::default() };
        let form = RuleForm::of_rule(Language::De, "x", None, When::Always, &locked);
        assert_eq!(form.others.len(), 1);
        assert_eq!(form.wish("", &locked).unwrap().content, locked);
    }

    #[test]
    fn every_bad_field_is_named() {
        let fields = Fields::from([
            ("name", "x"),
            ("target", "room:x"),
            ("when", "never"),
            ("clips", "nur ein Titel"),
            ("filter_denied", "kein Link"),
            ("r.allowCamera", "vielleicht"),
            ("passcode", "99"),
            ("update_version", "neu"),
        ]);
        let wrong = RuleForm::of_fields(&fields).wish("", &Content::default()).unwrap_err();
        let mut names: Vec<_> = wrong.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "clips",
                "filter_denied",
                "passcode",
                "restrictions",
                "target",
                "update_deadline",
                "update_version",
                "when"
            ]
        );
    }
}
