//! Every page that somebody can reach by links: nobody is shut out by how it is made, it fits a phone, and the browser does not complain.

use std::collections::{BTreeMap, BTreeSet};

use hausmeister::browser::{Browser, Screen};
use inventory::Role;
use serde_json::Value;

use super::table::{self, pattern};
use super::{Pages, name_of, picture};
use crate::support::root;

/// axe-core finds no fault that it calls serious or critical, on a phone and a PC, light and dark; nothing is wider than a phone.
#[test]
fn every_page_can_be_read_by_everybody_on_a_phone_and_on_a_pc() {
    let pages = Pages::serve();
    let (admin, others) = Role::ALL.split_first().unwrap();
    let (of_admin, of_others) = std::thread::scope(|scope| {
        let of_admin = scope.spawn(|| Walk::begin(&pages).by(*admin));
        let of_others = scope.spawn(|| {
            let mut walk = Walk::begin(&pages);
            for role in others {
                walk = walk.by(*role);
            }
            walk
        });
        (of_admin.join().unwrap(), of_others.join().unwrap())
    });
    let faults = [of_admin.faults, of_others.faults].concat();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    let seen: BTreeSet<String> = of_admin.seen.into_keys().chain(of_others.seen.into_keys()).collect();
    let unseen: Vec<String> = table::pages().difference(&seen).cloned().collect();
    assert!(unseen.is_empty(), "no link leads to {unseen:?}");
}

/// A browser on its way.
struct Walk<'a> {
    pages: &'a Pages,
    browser: Browser,
    axe: String,
    role: &'static str,
    /// How many pages of each entry of the table were looked at by the present role.
    seen: BTreeMap<String, usize>,
    faults: Vec<String>,
}

impl<'a> Walk<'a> {
    fn begin(pages: &'a Pages) -> Self {
        let axe = root().join(AXE);
        let axe = std::fs::read_to_string(axe).expect("axe-core is missing; `make test` fetches it");
        let browser = pages.browser(Screen::PHONE);
        Self { pages, browser, axe, role: "", seen: BTreeMap::new(), faults: Vec::new() }
    }

    /// Looks at every page that a role can reach from where it begins.
    fn by(mut self, role: Role) -> Self {
        self.role = name_of(role);
        self.seen.values_mut().for_each(|seen| *seen = 0);
        self.browser.forget_everything().unwrap();
        self.browser.open(&self.pages.address("/signin")).unwrap();
        self.look("/signin");
        self.pages.sign_in(&mut self.browser, self.role);
        let mut to_see = vec!["/".to_owned()];
        let mut known = BTreeSet::new();
        while let Some(path) = to_see.pop() {
            if known.insert(path.clone()) && self.wants(&path) {
                self.browser.open(&self.pages.address(&path)).unwrap();
                self.look(&path);
                to_see.extend(self.links());
            }
        }
        self
    }

    /// Whether a page is worth a look: one of each kind is not enough, all devices are too many. What is no page, but a file, is not opened.
    fn wants(&mut self, path: &str) -> bool {
        let seen = self.seen.entry(pattern(path)).or_default();
        *seen += 1;
        let address = Value::from(path).to_string();
        let kind = format!(
            "fetch({address}, {{ method: 'HEAD' }}).then(answer => answer.headers.get('content-type'))"
        );
        *seen <= OF_A_KIND
            && self.browser.value(&kind).unwrap().as_str().is_some_and(|kind| kind.starts_with("text/html"))
    }

    /// Paths of this server that the page leads to.
    fn links(&mut self) -> Vec<String> {
        let found = self.browser.value(LINKS).unwrap();
        found.as_array().unwrap().iter().map(|link| link.as_str().unwrap().to_owned()).collect()
    }

    fn look(&mut self, path: &str) {
        let first = self.seen.get(&pattern(path)).is_none_or(|seen| *seen == 1);
        self.browser.value(&self.axe).unwrap();
        self.browser.value(UNFOLD).unwrap();
        for (screen, name) in [(Screen::DESKTOP, "desktop"), (Screen::PHONE, "phone")] {
            self.browser.show_on(screen).unwrap();
            self.note(path, name, ALL_RULES);
            if first {
                let page = if path == "/" { "/start".into() } else { pattern(path) };
                let page = page.replace('/', "-").replace(['{', '}'], "");
                self.browser.picture(&picture(&format!("{}{page}-{name}", self.role))).unwrap();
            }
            self.browser.show_on(screen.dark()).unwrap();
            self.note(path, &format!("{name}, dark"), CONTRAST);
        }
        self.browser.show_on(Screen::PHONE).unwrap();
    }

    fn note(&mut self, path: &str, screen: &str, rules: &str) {
        let mut faults = self.browser.faults();
        let violations = self.browser.value(&format!("({VIOLATIONS})({rules})")).unwrap();
        faults.extend(violations.as_array().unwrap().iter().map(|fault| fault.as_str().unwrap().to_owned()));
        let wide = self.browser.value(TOO_WIDE).unwrap();
        faults.extend(wide.as_str().map(|element| format!("wider than the screen: {element}")));
        let place = format!("{} on {path} ({screen}):", self.role);
        self.faults.extend(faults.iter().map(|fault| format!("{place} {fault}")));
    }
}

/// Where `make test` puts axe-core, the rules for pages that everybody can use.
const AXE: &str = "target/axe.min.js";
/// Most pages of one entry of the table that are looked at per role.
const OF_A_KIND: usize = 2;
const LINKS: &str = "Array.from(document.querySelectorAll('a[href]'), link => new URL(link.href))
    .filter(link => link.origin === location.origin).map(link => link.pathname + link.search)";
/// What is folded is looked at, too.
const UNFOLD: &str = "document.querySelectorAll('details').forEach(details => { details.open = true; })";
const ALL_RULES: &str = "{ resultTypes: ['violations'], preload: false }";
/// What the dark colours can break.
const CONTRAST: &str = "{ resultTypes: ['violations'], preload: false, runOnly: ['color-contrast'] }";
const VIOLATIONS: &str = "options => axe.run(document, options).then(found => found.violations
    .filter(fault => ['serious', 'critical'].includes(fault.impact))
    .map(fault => fault.id + ': ' + fault.help + ': '
        + fault.nodes.map(node => node.target.join(' ') + ' ' + node.failureSummary).slice(0, 3).join(' | ')))";
/// The first element that reaches over the right edge, when the page can be scrolled to the side.
const TOO_WIDE: &str = "(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return null;
    const over = Array.from(document.querySelectorAll('body *')).find(e => e.getBoundingClientRect().right > width + 1);
    return over ? over.outerHTML.slice(0, 200) : 'unknown';
})()";
