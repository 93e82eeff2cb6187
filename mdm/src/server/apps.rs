//! Apps of iPads: who should have which, what each is told, and what it reports.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use inventory::gate::{Of, Subject};
use inventory::mdm::{App, AppId, Enrolment, EnrolmentState, Install, LicenceState, NewCommand, wishes};
use inventory::{DeviceId, EnrolmentId, UnixMillis};
use serde_json::Value;

use super::Server;
use crate::apps::plan::Wish;
use crate::apps::tell::{Due, Order, Told, Way, tell};
use crate::command::{
    AppAttributes, AppConfiguration, Command, InstallApplication, ManagementState, RemoveApplication,
    Setting, Settings,
};
use crate::declarative::{
    AppInstall, AppLicense, AppPhase, AppSource, AppState, DesiredApp, DeviceStatus, StatusReport,
};
use crate::os::OsVersion;

impl Server {
    /// Which iPads under management should have which apps.
    ///
    /// # Errors
    /// The inventory failed.
    pub(crate) async fn app_wishes(&self) -> inventory::Result<Vec<Wish>> {
        // One that enrols anew keeps its licences in between.
        let (ipads, _) = self.inventory.enrolments().await?;
        self.app_wishes_of(&ipads).await
    }

    async fn app_wishes_of(&self, ipads: &[Enrolment]) -> inventory::Result<Vec<Wish>> {
        let said = self.inventory.app_assignments().await?;
        if said.is_empty() {
            return Ok(Vec::new());
        }
        let (devices, _) = self.inventory.gate_devices(Of::Ipads).await?;
        let subjects: HashMap<DeviceId, Subject> =
            devices.into_iter().map(|device| (device.subject.device, device.subject)).collect();
        let mut all = Vec::new();
        for ipad in ipads.iter().filter(|ipad| !ipad.serial.is_empty()) {
            let Some(subject) = ipad.device.and_then(|device| subjects.get(&device)) else { continue };
            let since = ipad.enrolled_at.unwrap_or(UnixMillis(0));
            all.extend(wishes(&said, subject).into_iter().map(|(app, install)| Wish {
                app,
                serial: ipad.serial.clone(),
                install,
                since,
            }));
        }
        Ok(all)
    }

    /// Tells iPads what changed about their apps: what they have a licence for is offered or installed, the rest is removed.
    ///
    /// # Errors
    /// The inventory failed; who was not told is told the next time.
    pub(crate) async fn tell_apps(&self, now: UnixMillis) -> inventory::Result<()> {
        let mut told: HashMap<EnrolmentId, BTreeMap<AppId, Told>> = HashMap::new();
        for row in self.inventory.told_apps().await? {
            // What a later version wrote is told again.
            if let Ok(of_app) = serde_json::from_str(&row.told) {
                told.entry(row.ipad).or_default().insert(row.app, of_app);
            }
        }
        let (ipads, _) = self.inventory.enrolments().await?;
        let wishes = self.app_wishes_of(&ipads).await?;
        if wishes.is_empty() && told.is_empty() {
            return Ok(());
        }
        let mut due = self.due(&wishes).await?;
        let none = BTreeMap::new();
        for ipad in ipads.iter().filter(|ipad| ipad.state == EnrolmentState::Enrolled) {
            let due = due.remove(&ipad.serial).unwrap_or_default();
            self.tell_one(ipad, &due, told.get(&ipad.id).unwrap_or(&none), now).await?;
        }
        Ok(())
    }

    /// What iPads have a licence for and should have, by serial number.
    async fn due(&self, wishes: &[Wish]) -> inventory::Result<HashMap<String, BTreeMap<AppId, Due>>> {
        let apps: HashMap<AppId, App> =
            self.inventory.apps().await?.into_iter().map(|app| (app.id, app)).collect();
        let (licences, _) = self.inventory.app_licences().await?;
        let has = licences.into_iter().filter(|licence| licence.state == LicenceState::Assigned);
        let has: BTreeSet<(AppId, String)> = has.map(|licence| (licence.app, licence.serial)).collect();
        let mut due: HashMap<String, BTreeMap<AppId, Due>> = HashMap::new();
        for wish in wishes.iter().filter(|wish| has.contains(&(wish.app, wish.serial.clone()))) {
            let app = apps.get(&wish.app);
            let one = Due {
                install: wish.install,
                bundle_id: app.map_or_else(String::new, |app| app.bundle_id.clone()),
                configured: app.and_then(|app| app.configured.clone()),
            };
            due.entry(wish.serial.clone()).or_default().insert(wish.app, one);
        }
        Ok(due)
    }

    async fn tell_one(
        &self,
        ipad: &Enrolment,
        due: &BTreeMap<AppId, Due>,
        told: &BTreeMap<AppId, Told>,
        now: UnixMillis,
    ) -> inventory::Result<()> {
        // Which apps are there matters only when one has to be configured.
        let configured = |app: &AppId| told.get(app).and_then(|told| told.configured.as_ref());
        let there = match due.iter().any(|(app, due)| due.configured.as_ref() != configured(app)) {
            true => managed_apps(&self.inventory.ipad_reports(ipad.id).await?),
            false => BTreeSet::new(),
        };
        let os = ipad.os_version.parse().unwrap_or(OsVersion::ANY);
        let (orders, after) = tell(os, due, told, &there);
        if orders.is_empty() && after == *told {
            return Ok(());
        }
        let mut commands: Vec<NewCommand> = Vec::new();
        for order in &orders {
            if let Some(command) = self.app_command(order).await? {
                commands.extend(self.wrap(ipad.id, &command, now));
            }
        }
        let after: Vec<(AppId, String)> =
            after.iter().filter_map(|(app, told)| Some((*app, serde_json::to_string(told).ok()?))).collect();
        self.inventory.tell_apps(self.by(now), ipad.id, &after, &commands).await?;
        if !commands.is_empty() {
            self.ipads.note_work(ipad.id);
        }
        if orders.contains(&Order::Declare) {
            self.wishes.heed_apps();
        }
        Ok(())
    }

    /// The command that an order becomes; declarations have a way of their own.
    async fn app_command(&self, order: &Order) -> inventory::Result<Option<Command>> {
        Ok(Some(match order {
            Order::Declare => return Ok(None),
            Order::Remove(identifier) => {
                Command::RemoveApplication(RemoveApplication { identifier: identifier.clone() })
            }
            Order::Install(app) => Command::InstallApplication(InstallApplication {
                configuration: self.app_configuration(*app).await?,
                attributes: Some(AppAttributes { removable: Some(false), ..AppAttributes::default() }),
                change_management_state: Some(ManagementState::Managed),
                ..InstallApplication::licensed(app.number())
            }),
            Order::Configure { app, bundle_id, some } => {
                let configuration = if *some { self.app_configuration(*app).await? } else { None };
                let identifier = bundle_id.clone();
                let setting = Setting::ApplicationConfiguration { identifier, configuration };
                Command::Settings(Settings { settings: vec![setting] })
            }
        }))
    }

    async fn app_configuration(&self, app: AppId) -> inventory::Result<Option<AppConfiguration>> {
        let Some(sealed) = self.inventory.sealed_app_configuration(app).await? else { return Ok(None) };
        let plain = self.vault.unseal(&app.owner(), &sealed);
        let configuration = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
        if configuration.is_none() {
            tracing::error!(app.id = %app, "the configuration of an app cannot be read back; enter it again");
        }
        Ok(configuration)
    }

    /// The apps that iPads were told to look after by themselves, for their declarations.
    ///
    /// # Errors
    /// The inventory failed.
    pub(super) async fn declared_apps(
        &self,
    ) -> inventory::Result<HashMap<EnrolmentId, Vec<(AppId, Install)>>> {
        let mut declared: HashMap<EnrolmentId, Vec<(AppId, Install)>> = HashMap::new();
        for row in self.inventory.told_apps().await? {
            let told: Option<Told> = serde_json::from_str(&row.told).ok();
            if let Some(told) = told.filter(|told| told.way == Way::Declaration) {
                declared.entry(row.ipad).or_default().push((row.app, told.install));
            }
        }
        Ok(declared)
    }

    /// Keeps what an iPad reports of the apps that it manages.
    ///
    /// # Errors
    /// The inventory failed.
    pub(super) async fn note_apps(
        &self,
        ipad: EnrolmentId,
        report: &StatusReport,
        now: UnixMillis,
    ) -> inventory::Result<()> {
        if report.apps.is_empty() && !report.full {
            return Ok(());
        }
        let reports = self.inventory.ipad_reports(ipad).await?;
        let before = reports.into_iter().find(|report| report.kind == REPORT).map(|report| report.body);
        let known: Vec<AppState> =
            before.clone().and_then(|body| serde_json::from_value(body).ok()).unwrap_or_default();
        let mut status = DeviceStatus { apps: known, ..DeviceStatus::default() };
        status.absorb(StatusReport {
            full: report.full,
            apps: report.apps.clone(),
            ..StatusReport::default()
        });
        let after = Value::Array(status.apps.iter().map(with_phase).collect());
        if before.as_ref() == Some(&after) || (before.is_none() && status.apps.is_empty()) {
            return Ok(());
        }
        self.inventory.keep_ipad_report(self.by(now), ipad, REPORT, &after).await
    }
}

/// An app of the App Store whose licence belongs to the iPad.
pub(super) fn desired_app(app: AppId, install: Install) -> DesiredApp {
    DesiredApp {
        source: AppSource::Store(app.number(), AppLicense::Device),
        install: match install {
            Install::Required => AppInstall::Required,
            Install::Offered => AppInstall::Optional,
        },
        in_backup: true,
        when: None,
    }
}

/// What an iPad said of an app, with what that comes down to.
fn with_phase(app: &AppState) -> Value {
    let mut value = serde_json::to_value(app).unwrap_or_default();
    if let Value::Object(entries) = &mut value {
        entries.insert("phase".to_owned(), serde_json::to_value(app.phase()).unwrap_or_default());
    }
    value
}

/// The managed apps that are on an iPad, as it said last: of those it looks after itself, and of those that commands installed.
fn managed_apps(reports: &[inventory::mdm::Report]) -> BTreeSet<String> {
    let of = |kind: &str| {
        let body = reports.iter().find(|report| report.kind == kind).map(|report| &report.body);
        body.and_then(Value::as_array).into_iter().flatten()
    };
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let managed = serde_json::to_value(AppPhase::Managed).unwrap_or_default();
    let declared = of(REPORT).filter(|app| app.get("phase") == Some(&managed));
    let commanded = of("managed_apps").filter(|app| text(app, "state").as_deref() == Some("Managed"));
    let declared = declared.filter_map(|app| text(app, "identifier"));
    declared.chain(commanded.filter_map(|app| text(app, "id"))).collect()
}

/// The kind of report that `com.apple…app.managed.list` and `mdm.app` become.
const REPORT: &str = "declared_apps";
