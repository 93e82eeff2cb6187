//! Inventory rows as people see them: names for ids, words for states.

use std::collections::HashMap;

use askama::Template;
use askama::filters::HtmlSafe;
use inventory::night::ON_MILLIS;
use inventory::{
    Device, DeviceId, Image, ImageId, Inventory, Job, JobProgress, JobState, JobTask, UnixMillis, clock,
};
use serde_json::Value;

use crate::drift;
use crate::failure::Answer;
use crate::format;
use crate::lang::Lang;
use crate::texts::Texts;

/// A coloured word.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(source = r#"<span class="badge {{ kind }}">{{ text }}</span>"#, ext = "html")]
pub(crate) struct Badge {
    /// CSS class: `good`, `bad`, `busy`, `warn` or `idle`.
    pub(crate) kind: &'static str,
    /// The word.
    pub(crate) text: String,
}

impl Badge {
    pub(crate) fn new(kind: &'static str, text: &str) -> Self {
        Self { kind, text: text.to_owned() }
    }
}

/// How far something is.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "bar.html")]
pub(crate) struct Bar {
    /// 0 to 100; `None` while the whole is unknown.
    pub(crate) percent: Option<u64>,
    /// What is being done.
    pub(crate) phase: String,
    /// For example `1,2 GiB von 4,0 GiB`; may be empty.
    pub(crate) detail: String,
}

// Each escapes what it holds, so that a page may take it as it is.
impl HtmlSafe for Badge {}
impl HtmlSafe for Bar {}
impl HtmlSafe for When {}

/// A job in a list.
#[derive(Debug, Clone)]
pub(crate) struct JobView {
    pub(crate) id: String,
    pub(crate) device: String,
    pub(crate) device_id: String,
    /// What it does, for example `Image „Schule“ aufspielen`.
    pub(crate) what: String,
    pub(crate) state: Badge,
    pub(crate) bar: Option<Bar>,
    /// Why it failed, or what came out; may be empty.
    pub(crate) outcome: String,
    pub(crate) failed: bool,
    /// Whether it can still be cancelled.
    pub(crate) open: bool,
    pub(crate) created: When,
    /// How long it took; empty while unknown.
    pub(crate) took: String,
}

/// A moment in three forms.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(source = r#"<time datetime="{{ iso }}" title="{{ full }}">{{ ago }}</time>"#, ext = "html")]
pub(crate) struct When {
    /// For machines.
    pub(crate) iso: String,
    /// The time.
    pub(crate) full: String,
    /// How long ago.
    pub(crate) ago: String,
}

impl When {
    pub(crate) fn new(lang: Lang, now: UnixMillis, at: UnixMillis) -> Self {
        Self { iso: format::iso(at), full: format::time(lang, at), ago: format::ago(lang, now, at) }
    }
}

/// A device in the list.
#[derive(Debug, Clone)]
pub(crate) struct DeviceRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) room: String,
    pub(crate) address: String,
    pub(crate) state: Badge,
    pub(crate) image: String,
    /// Whether its disk holds what it should; empty when it need not hold anything.
    pub(crate) image_state: Option<Badge>,
    pub(crate) last_seen: Option<When>,
    pub(crate) bar: Option<Bar>,
}

/// What several pages need to put names to ids.
pub(crate) struct Context {
    pub(crate) lang: Lang,
    pub(crate) now: UnixMillis,
    pub(crate) images: Vec<Image>,
    pub(crate) open: HashMap<DeviceId, Job>,
    /// The newest finished job of each device, from the newest jobs.
    latest: HashMap<DeviceId, Job>,
}

impl Context {
    pub(crate) async fn load(inventory: &Inventory, lang: Lang) -> Answer<Self> {
        let (open, _) = inventory.open_jobs().await?;
        let (jobs, _) = inventory.jobs(LATEST_JOBS).await?;
        let mut latest = HashMap::new();
        for job in jobs.into_iter().filter(|job| !is_open(job)) {
            latest.entry(job.device).or_insert(job);
        }
        Ok(Self {
            lang,
            now: clock::now(),
            images: inventory.images().await?,
            open: open.into_iter().map(|job| (job.device, job)).collect(),
            latest,
        })
    }

    pub(crate) fn image_name(&self, id: ImageId) -> &str {
        self.images.iter().find(|image| image.id == id).map_or("?", |image| image.name.as_str())
    }

    /// Whether a device is switched on, as far as we know.
    pub(crate) fn is_on(&self, device: &Device) -> bool {
        device.key.is_some() && device.last_seen.is_some_and(|at| self.now.millis_since(at) < ON_MILLIS)
    }

    /// The newest finished job of a device, if it failed and none is open.
    pub(crate) fn failed(&self, device: DeviceId) -> Option<&Job> {
        let failed = |job: &&Job| matches!(job.state, JobState::Failed { .. });
        self.latest.get(&device).filter(failed).filter(|_| !self.open.contains_key(&device))
    }

    pub(crate) fn row(&self, device: &Device) -> DeviceRow {
        let (image, image_state) = self.image_of(device);
        DeviceRow {
            id: device.id.to_string(),
            name: device.name.to_string(),
            room: device.room.name.clone(),
            address: address(device),
            state: self.state(device),
            image,
            image_state,
            last_seen: device.last_seen.map(|at| When::new(self.lang, self.now, at)),
            bar: self.open.get(&device.id).and_then(|job| bar(self.lang, job)),
        }
    }

    /// How far a room's images are, all PCs together; `None` while none is written there.
    pub(crate) fn room_bar(&self, devices: &[&Device]) -> Option<Bar> {
        let open = devices.iter().filter_map(|device| self.open.get(&device.id));
        let deploys: Vec<&Job> = open.filter(|job| matches!(job.task, JobTask::Deploy { .. })).collect();
        let moving = deploys.iter().filter_map(|job| match &job.state {
            JobState::Running { progress, .. } if progress.phase == "transfer" => Some(progress),
            _ => None,
        });
        let moving: Vec<&JobProgress> = moving.collect();
        let slowest = moving.iter().copied().filter_map(millis_left).max();
        let (done, total) = moving.iter().fold((0_u64, 0_u64), |(done, total), at| {
            (done.saturating_add(at.done_bytes), total.saturating_add(at.total_bytes))
        });
        let left = slowest.map(|millis| format::duration(self.lang, millis));
        let t = Texts::of(self.lang);
        (!deploys.is_empty()).then(|| Bar {
            percent: percent(done, total),
            phase: t.room_imaged(deploys.len()),
            detail: left.map(|left| t.still(&left)).unwrap_or_default(),
        })
    }

    /// The one word about a device: its work, its trouble, or whether it is on.
    pub(crate) fn state(&self, device: &Device) -> Badge {
        let t = Texts::of(self.lang);
        if device.key.is_none() {
            return Badge::new("idle", t.state_expected);
        }
        match self.open.get(&device.id).map(|job| (&job.state, job.task)) {
            Some((JobState::Queued, _)) => return Badge::new("busy", t.state_job_waits),
            Some((_, JobTask::Deploy { .. })) => return Badge::new("busy", t.state_deploying),
            Some((_, JobTask::Capture { .. })) => return Badge::new("busy", t.state_capturing),
            None => {}
        }
        if self.failed(device.id).is_some() {
            return Badge::new("bad", t.state_failed);
        }
        match (self.is_on(device), device.observed.runs_in.as_deref()) {
            (true, Some("boot_environment")) => Badge::new("good", t.state_in_boot),
            (true, _) => Badge::new("good", t.state_on),
            (false, _) => Badge::new("idle", t.state_off),
        }
    }

    /// The image a device should have, and whether its disk holds the newest version of it.
    fn image_of(&self, device: &Device) -> (String, Option<Badge>) {
        let t = Texts::of(self.lang);
        let Some(image) = device.desired_image.and_then(|id| self.images.iter().find(|image| image.id == id))
        else {
            return (String::new(), None);
        };
        let Some(newest) = image.versions.first() else { return (image.name.clone(), None) };
        let badge = match drift::of_image(device, &self.images) {
            Some(drift) => t.image_drift(&drift),
            None => Badge::new("good", t.image_current),
        };
        (format!("{} v{}", image.name, newest.version), Some(badge))
    }

    pub(crate) fn job(&self, job: &Job, devices: &HashMap<DeviceId, String>) -> JobView {
        let (lang, t) = (self.lang, Texts::of(self.lang));
        let state = match &job.state {
            JobState::Queued => Badge::new("idle", t.job_queued),
            JobState::Running { .. } => Badge::new("busy", t.job_running),
            JobState::Done { .. } => Badge::new("good", t.job_done),
            JobState::Failed { .. } => Badge::new("bad", t.job_failed),
            JobState::Cancelled { .. } => Badge::new("idle", t.job_cancelled),
        };
        let (outcome, took) = match &job.state {
            JobState::Queued | JobState::Cancelled { .. } => (String::new(), String::new()),
            JobState::Running { started_at, .. } => {
                (String::new(), format::duration(lang, self.now.millis_since(*started_at)))
            }
            JobState::Failed { reason, .. } => (crate::job_failure::said(lang, reason), String::new()),
            JobState::Done { started_at, finished_at, result } => {
                (t.job_result(result), format::duration(lang, finished_at.millis_since(*started_at)))
            }
        };
        let what = match job.task {
            JobTask::Deploy { image, version } => t.job_deploy(self.image_name(image), version),
            JobTask::Capture { image } => t.job_capture(self.image_name(image)),
        };
        JobView {
            id: job.id.to_string(),
            device: devices.get(&job.device).cloned().unwrap_or_else(|| "?".into()),
            device_id: job.device.to_string(),
            what,
            state,
            bar: bar(lang, job),
            outcome,
            failed: matches!(job.state, JobState::Failed { .. }),
            open: is_open(job),
            created: When::new(lang, self.now, job.created_at),
            took,
        }
    }
}

/// How fast it goes and how long it will take, if it goes on like this.
fn pace(lang: Lang, progress: &JobProgress) -> Option<String> {
    let left = format::duration(lang, millis_left(progress)?);
    let rate = format::bytes(lang, progress.bytes_per_sec);
    Some(format!("{rate}/s · {}", Texts::of(lang).still(&left)))
}

fn millis_left(progress: &JobProgress) -> Option<i64> {
    let left = progress.total_bytes.saturating_sub(progress.done_bytes);
    let millis = left.saturating_mul(1000).checked_div(progress.bytes_per_sec)?;
    i64::try_from(millis).ok().filter(|millis| *millis < TOO_LONG_MILLIS)
}

fn is_open(job: &Job) -> bool {
    matches!(job.state, JobState::Queued | JobState::Running { .. })
}

fn bar(lang: Lang, job: &Job) -> Option<Bar> {
    let JobState::Running { progress, .. } = &job.state else { return None };
    let JobProgress { phase, done_bytes, total_bytes, .. } = progress;
    let t = Texts::of(lang);
    let phase = match (phase.as_str(), job.task) {
        ("prepare", _) => t.phase_prepare,
        ("transfer", JobTask::Deploy { .. }) => t.phase_write,
        ("transfer", JobTask::Capture { .. }) => t.phase_read,
        ("personalise", _) => t.phase_personalise,
        ("finish", _) => t.phase_finish,
        ("", _) => t.phase_start,
        (other, _) => other,
    };
    let detail = match *total_bytes {
        0 => String::new(),
        total => {
            let of = t.of_total(&format::bytes(lang, (*done_bytes).min(total)), &format::bytes(lang, total));
            [Some(of), pace(lang, progress), t.peers_gave(progress.transferred, progress.peer_bytes)]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(" · ")
        }
    };
    Some(Bar { percent: percent(*done_bytes, *total_bytes), phase: phase.to_owned(), detail })
}

pub(crate) fn percent(done: u64, total: u64) -> Option<u64> {
    let hundred = u128::from(done).saturating_mul(100).checked_div(u128::from(total))?;
    u64::try_from(hundred.min(100)).ok()
}

/// Where a device is reached: where it spoke from, else what is reserved for it.
fn address(device: &Device) -> String {
    let reserved = || device.interfaces.iter().find_map(|card| card.reserved_ip).map(|ip| ip.to_string());
    device.observed.address.clone().or_else(reserved).unwrap_or_default()
}

/// Hardware in lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hardware {
    /// Vendor and product; may be empty.
    pub(crate) model: String,
    pub(crate) serial: String,
    pub(crate) uuid: String,
    pub(crate) firmware: String,
    pub(crate) processor: String,
    pub(crate) memory: String,
    pub(crate) disks: Vec<Disk>,
    pub(crate) cards: Vec<Card>,
}

/// A disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) name: String,
    pub(crate) model: String,
    pub(crate) serial: String,
    pub(crate) size: String,
    pub(crate) removable: bool,
}

/// A network card.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Card {
    pub(crate) name: String,
    pub(crate) mac: String,
    pub(crate) wireless: bool,
}

impl Hardware {
    /// Reads what an agent told; whatever is missing or of another kind is left empty.
    pub(crate) fn read(lang: Lang, value: &Value) -> Self {
        let text = |value: &Value, key: &str| -> String {
            value.get(key).and_then(Value::as_str).unwrap_or_default().chars().take(TEXT_CHARS_MAX).collect()
        };
        let number = |value: &Value, key: &str| value.get(key).and_then(Value::as_u64).unwrap_or(0);
        let list = |key: &str| -> Vec<Value> {
            value
                .get(key)
                .and_then(Value::as_array)
                .map(|list| list.iter().take(LIST_MAX).cloned().collect())
                .unwrap_or_default()
        };
        let size = |bytes: u64| if bytes == 0 { String::new() } else { format::bytes(lang, bytes) };
        let cpu = text(value, "cpu");
        Self {
            model: [text(value, "vendor"), text(value, "product")].join(" ").trim().to_owned(),
            serial: text(value, "serial"),
            uuid: text(value, "uuid"),
            firmware: match text(value, "firmware").as_str() {
                "bios" => "BIOS".into(),
                "uefi" => "UEFI".into(),
                "uefi_secure_boot" => "UEFI, Secure Boot".into(),
                other => other.to_owned(),
            },
            processor: match number(value, "cpu_count") {
                0 => cpu,
                count => format!("{count} × {cpu}"),
            },
            memory: size(number(value, "memory_bytes")),
            disks: list("disks")
                .iter()
                .map(|disk| Disk {
                    name: text(disk, "name"),
                    model: text(disk, "model"),
                    serial: text(disk, "serial"),
                    size: size(number(disk, "bytes")),
                    removable: disk.get("removable").and_then(Value::as_bool).unwrap_or(false),
                })
                .collect(),
            cards: list("nics")
                .iter()
                .map(|nic| Card {
                    name: text(nic, "name"),
                    mac: text(nic, "mac"),
                    wireless: nic.get("wireless").and_then(Value::as_bool).unwrap_or(false),
                })
                .collect(),
        }
    }
}

/// A device counts as switched on when its agent spoke within this time.
const TOO_LONG_MILLIS: i64 = 24 * 3_600_000;
const LATEST_JOBS: u32 = 1000;
const TEXT_CHARS_MAX: usize = 120;
const LIST_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn progress_never_leaves_its_bar() {
        for (done, total, expected) in [
            (0, 0, None),
            (5, 0, None),
            (0, 9, Some(0)),
            (1, 3, Some(33)),
            (9, 3, Some(100)),
            (u64::MAX, u64::MAX, Some(100)),
        ] {
            assert_eq!(percent(done, total), expected, "{done}/{total}");
        }
    }

    #[test]
    fn hardware_of_any_shape_can_be_shown() {
        for value in [
            json!(null),
            json!([]),
            json!({"vendor": 5, "disks": {"a": 1}, "nics": [1, null, "x"]}),
            json!({"vendor": "x".repeat(9999), "disks": vec![json!({}); 99]}),
        ] {
            let hardware = Hardware::read(Lang::De, &value);
            assert!(hardware.model.chars().count() <= TEXT_CHARS_MAX && hardware.disks.len() <= LIST_MAX);
        }
        let told = json!({"vendor": "FUJITSU", "product": "ESPRIMO Q558", "cpu": "i5", "cpu_count": 6, "memory_bytes": 8u64 << 30});
        let hardware = Hardware::read(Lang::De, &told);
        assert_eq!(
            (hardware.model.as_str(), hardware.processor.as_str()),
            ("FUJITSU ESPRIMO Q558", "6 × i5")
        );
        assert_eq!(hardware.memory, "8,0 GiB");
    }
}
