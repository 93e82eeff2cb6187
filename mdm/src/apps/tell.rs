//! What an iPad is told when its apps change. Pure.
//!
//! From iPadOS 17.2 on an iPad looks after its apps itself, by declarations; an older one gets commands. Only the former can offer an app, since
//! Apple has no command for that. What an app finds as its configuration comes with the command that installs it, or by the command `Settings`
//! once the app is there: the declaration that carries it needs a file of the server and iPadOS 18.4, and says the same.

use std::collections::{BTreeMap, BTreeSet};

use inventory::mdm::{AppId, Install};
use serde::{Deserialize, Serialize};

use crate::os::OsVersion;

/// An app that an iPad has a licence for and should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Whether it has to be there.
    pub install: Install,
    /// Its bundle identifier; empty when it is not known.
    pub bundle_id: String,
    /// Changes with its configuration.
    pub configured: Option<String>,
}

/// How an iPad is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// By a declaration.
    Declaration,
    /// By commands.
    Command,
}

/// What an iPad was told of an app. It is kept as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// How.
    pub way: Way,
    /// Whether it has to be there.
    pub install: Install,
    /// Its bundle identifier, by which it is removed; empty when it is not known.
    pub bundle_id: String,
    /// Which configuration it was given.
    pub configured: Option<String>,
}

/// What the iPad has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Compare its declarations.
    Declare,
    /// Install an app, with its configuration.
    Install(AppId),
    /// Remove it.
    Remove(String),
    /// Give an app that is there its configuration, or take it away.
    Configure {
        /// Which app.
        app: AppId,
        /// Its bundle identifier.
        bundle_id: String,
        /// Whether there is one.
        some: bool,
    },
}

/// How an iPad with that system is told.
#[must_use]
pub fn way(os: OsVersion) -> Way {
    if os < DECLARES { Way::Command } else { Way::Declaration }
}

/// What an iPad is told now, and what it was told after that. `there` are the managed apps that it reports by their bundle identifiers.
#[must_use]
pub fn tell(
    os: OsVersion,
    due: &BTreeMap<AppId, Due>,
    told: &BTreeMap<AppId, Told>,
    there: &BTreeSet<String>,
) -> (Vec<Order>, BTreeMap<AppId, Told>) {
    let way = way(os);
    let mut orders = Vec::new();
    let mut after = BTreeMap::new();
    let mut declare = false;
    for (app, due) in
        due.iter().filter(|(_, due)| way == Way::Declaration || due.install == Install::Required)
    {
        let before = told.get(app).filter(|before| before.way == way);
        let mut now = Told {
            way,
            install: due.install,
            bundle_id: due.bundle_id.clone(),
            configured: before.and_then(|before| before.configured.clone()),
        };
        let is_new = before.is_none_or(|before| before.install != due.install);
        match way {
            Way::Declaration => declare |= is_new,
            Way::Command if is_new => {
                orders.push(Order::Install(*app));
                now.configured.clone_from(&due.configured);
            }
            Way::Command => {}
        }
        if now.configured != due.configured && there.contains(&due.bundle_id) {
            let bundle_id = due.bundle_id.clone();
            orders.push(Order::Configure { app: *app, bundle_id, some: due.configured.is_some() });
            now.configured.clone_from(&due.configured);
        }
        after.insert(*app, now);
    }
    for (_, gone) in told.iter().filter(|(app, _)| !after.contains_key(app)) {
        match gone.way {
            Way::Declaration => declare = true,
            Way::Command if gone.bundle_id.is_empty() => {}
            Way::Command => orders.push(Order::Remove(gone.bundle_id.clone())),
        }
    }
    if declare {
        orders.push(Order::Declare);
    }
    (orders, after)
}

/// The first version that knows the declaration of an app.
const DECLARES: OsVersion = OsVersion::new(17, 2, 0);

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: OsVersion = OsVersion::new(17, 1, 0);
    const NEW: OsVersion = OsVersion::new(18, 1, 0);

    fn app(number: u64) -> AppId {
        number.to_string().parse().unwrap()
    }

    fn due(apps: &[(u64, Install, Option<&str>)]) -> BTreeMap<AppId, Due> {
        let one = |(number, install, configured): &(u64, Install, Option<&str>)| {
            let configured = configured.map(str::to_owned);
            (app(*number), Due { install: *install, bundle_id: format!("de.app{number}"), configured })
        };
        apps.iter().map(one).collect()
    }

    fn there(bundles: &[&str]) -> BTreeSet<String> {
        bundles.iter().map(|bundle| (*bundle).to_owned()).collect()
    }

    #[test]
    fn an_older_ipad_gets_commands_and_only_what_it_must_have() {
        use Install::{Offered, Required};
        let wanted = due(&[(1, Required, Some("a")), (2, Offered, None)]);
        let (orders, told) = tell(OLD, &wanted, &BTreeMap::new(), &there(&[]));
        assert_eq!(orders, [Order::Install(app(1))]);
        assert_eq!(tell(OLD, &wanted, &told, &there(&[])), (vec![], told.clone()), "it is said once");
        let changed = due(&[(1, Required, Some("b"))]);
        assert_eq!(tell(OLD, &changed, &told, &there(&[])).0, [], "the app is not there yet");
        let (orders, later) = tell(OLD, &changed, &told, &there(&["de.app1"]));
        assert_eq!(orders, [Order::Configure { app: app(1), bundle_id: "de.app1".into(), some: true }]);
        assert_eq!(later[&app(1)].configured.as_deref(), Some("b"));
        let (orders, none) = tell(OLD, &due(&[]), &later, &there(&["de.app1"]));
        assert_eq!((orders, none.len()), (vec![Order::Remove("de.app1".into())], 0));
    }

    #[test]
    fn a_newer_ipad_compares_its_declarations_and_is_configured_when_the_app_is_there() {
        use Install::{Offered, Required};
        let wanted = due(&[(1, Required, Some("a")), (2, Offered, None)]);
        let (orders, told) = tell(NEW, &wanted, &BTreeMap::new(), &there(&[]));
        assert_eq!((orders, told.len()), (vec![Order::Declare], 2));
        let (orders, told) = tell(NEW, &wanted, &told, &there(&["de.app1"]));
        assert_eq!(orders, [Order::Configure { app: app(1), bundle_id: "de.app1".into(), some: true }]);
        assert_eq!(tell(NEW, &wanted, &told, &there(&["de.app1"])).0, []);
        let (orders, told) =
            tell(NEW, &due(&[(1, Required, None), (2, Required, None)]), &told, &there(&["de.app1"]));
        let configure = Order::Configure { app: app(1), bundle_id: "de.app1".into(), some: false };
        assert_eq!(orders, [configure, Order::Declare]);
        assert_eq!(tell(NEW, &due(&[]), &told, &there(&[])), (vec![Order::Declare], BTreeMap::new()));
    }

    #[test]
    fn after_an_update_of_its_system_an_ipad_looks_after_its_apps_itself() {
        let wanted = due(&[(1, Install::Required, None)]);
        let (_, told) = tell(OLD, &wanted, &BTreeMap::new(), &there(&[]));
        let (orders, told) = tell(NEW, &wanted, &told, &there(&["de.app1"]));
        assert_eq!((orders, told[&app(1)].way), (vec![Order::Declare], Way::Declaration));
    }
}
