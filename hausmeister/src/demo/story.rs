//! What happens in the demo, step by step, and what is checked at each.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::api::{number, text};
use super::apple::Apple;
use super::progress::{Progress, bar};
use super::school::{Plan, School};
use super::{doorway, now, pause};
use crate::cli::DemoArgs;
use crate::vm::{Firmware, Mark, VirtualPc, VmConfig};

/// The demo while it runs.
pub(super) struct Story {
    pub(super) progress: Progress,
    pub(super) interrupted: mpsc::Receiver<()>,
    pub(super) work_dir: PathBuf,
    pub(super) pcs: BTreeMap<&'static str, Pc>,
    /// Those that are switched off.
    pub(super) off: BTreeMap<&'static str, Pc>,
    pub(super) school: School,
    pub(super) apple: Apple,
    pub(super) bridge: crate::vm::Network,
    boot_files: PathBuf,
}

/// A virtual PC and what was measured of it.
pub(super) struct Pc {
    pub(super) vm: VirtualPc,
    pub(super) config: VmConfig,
    switched_on: Instant,
    times: Times,
    pub(super) device: String,
    pub(super) manifest: String,
}

#[derive(Default, Clone, Copy)]
struct Times {
    waiting: Option<Duration>,
    imaged: Option<Duration>,
    own_system: Option<Duration>,
    bytes: u64,
    transferred: u64,
}

impl Story {
    /// Lays out network and server.
    pub(super) fn begin(args: &DemoArgs, interrupted: mpsc::Receiver<()>) -> anyhow::Result<Self> {
        let mut progress = Progress::new(now());
        let _ = fs::remove_dir_all(&args.work_dir);
        fs::create_dir_all(&args.work_dir)?;
        let work_dir = args.work_dir.canonicalize()?;
        let bridge = crate::vm::Network::lay_out(BRIDGE, &format!("{SERVER}/24"), PCS.len())?;
        let boot_files = args.boot_files.canonicalize()?;
        let plan = plan(&work_dir, &boot_files);
        progress.milestone(now(), "hausmeister init, and a prepared Debian goes into the image store");
        let apple = Apple::start(&work_dir)?;
        let password = plan.set_up(&apple, &args.image, FIRST_IMAGE)?;
        let started = now();
        let school = plan.start(&password, &interrupted)?;
        let took = now().duration_since(started);
        progress.milestone(
            now(),
            &format!("hausmeister up: the page answered after {:.1} s", took.as_secs_f64()),
        );
        let (pcs, off) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { progress, interrupted, work_dir, pcs, off, school, apple, bridge, boot_files })
    }

    /// Everything that was promised, in order.
    pub(super) fn tell(&mut self) -> anyhow::Result<()> {
        let [model, bios, secure] = PCS;
        self.switch_on(model.0, model.1)?;
        self.wait_on_list(model.0)?;
        self.approve(model.0, FIRST_IMAGE)?;
        self.wait_imaged(&[model.0])?;
        self.wait_own_system(&[model.0])?;
        let program = self.put_into_catalogue("1.0")?;

        // The others boot while the model is captured; they wait on the list until their image exists.
        let restarted = self.capture_begins(model.0)?;
        self.switch_on(bios.0, bios.1)?;
        self.switch_on(secure.0, secure.1)?;
        self.wait_captured(model.0)?;
        self.wait_on_list(bios.0)?;
        self.wait_on_list(secure.0)?;
        self.approve(bios.0, ROOM_IMAGE)?;
        self.approve(secure.0, ROOM_IMAGE)?;
        // Ten iPads come and a lesson is held in the room while they are written.
        self.tell_of_ipads()?;
        self.tell_of_a_lesson(model.0, restarted)?;
        self.wait_imaged(&[bios.0, secure.0])?;
        self.wait_own_system(&[bios.0, secure.0])?;
        self.give_to_room(&program, &[bios.0, secure.0])?;
        self.check_result()?;
        self.tell_of_a_laptop()?;
        self.switch_off_the_room(&[model.0, bios.0, secure.0])?;
        self.let_a_night_pass(&[model.0, bios.0, secure.0])?;
        self.lose_the_server(model.0)
    }

    pub(super) fn milestone(&mut self, what: &str) {
        self.progress.milestone(now(), what);
    }

    pub(super) fn switch_on(&mut self, name: &'static str, firmware: Firmware) -> anyhow::Result<()> {
        let index = self.pcs.len();
        let config = VmConfig {
            name: name.to_owned(),
            firmware,
            memory_mib: MEMORY_MIB,
            disk: self.work_dir.join(format!("{name}.disk")),
            disk_bytes: DISK_BYTES,
            tap: self.bridge.tap(index)?,
            mac: format!("52:54:00:77:00:{:02x}", index + 1),
            serial_number: format!("DEMO-{:04}", index + 1),
            log: self.work_dir.join(format!("{name}.log")),
        };
        self.plug_in(name, config)?;
        self.milestone(&format!("{name} ({firmware}) is switched on; nobody knows it"));
        Ok(())
    }

    /// Starts a PC's firmware; its disk is as it was.
    pub(super) fn plug_in(&mut self, name: &'static str, config: VmConfig) -> anyhow::Result<()> {
        let vm = VirtualPc::start(&config)?;
        let (device, manifest) = (String::new(), String::new());
        let pc = Pc { vm, config, switched_on: now(), times: Times::default(), device, manifest };
        self.pcs.insert(name, pc);
        Ok(())
    }

    /// Waits until `done` says yes; everything that could have died is looked at meanwhile.
    pub(super) fn wait<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut done: impl FnMut(&mut Self) -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let deadline = now() + limit;
        loop {
            if let Some(result) = done(self).with_context(|| what.to_owned())? {
                return Ok(result);
            }
            self.school.check_alive()?;
            for (name, pc) in &mut self.pcs {
                ensure!(pc.vm.is_running()?, "{name} switched itself off while waiting for: {what}");
                if let Some(error) = pc.vm.line_with("MARK error")? {
                    bail!("{name} says: {error}");
                }
            }
            if now() > deadline {
                bail!("{what}: not within {} s", limit.as_secs());
            }
            pause(&self.interrupted, POLL)?;
        }
    }

    pub(super) fn wait_on_list(&mut self, name: &'static str) -> anyhow::Result<()> {
        let serial = self.pc(name)?.vm.serial_number().to_owned();
        let entry = self.wait(&format!("{name} on the waiting list"), LIMIT, |story| {
            story.school.api.find("/waiting", "hardware.serial", &serial)
        })?;
        let code = text(&entry, "code");
        let shown = self.wait(&format!("the code on the screen of {name}"), LIMIT, |story| {
            story.pc(name)?.vm.line_with("MARK waiting code=")
        })?;
        ensure!(shown.contains(&format!("code={code}")), "{name} shows {shown:?}, the list says {code}");
        let wanted = match self.pc(name)?.config.firmware {
            Firmware::Bios => "bios",
            Firmware::Uefi => "uefi",
            Firmware::UefiSecureBoot => "uefi_secure_boot",
        };
        let started_by = text(&entry, "hardware.firmware");
        ensure!(started_by == wanted, "{name} was started by {started_by:?}, not by {wanted:?}");
        let waiting = self.since_switched_on(name)?;
        self.pc(name)?.times.waiting.get_or_insert(waiting);
        self.milestone(&format!(
            "{name} is on the waiting list: {} {}, code {code}, the same as on its screen",
            text(&entry, "hardware.vendor"),
            text(&entry, "hardware.product"),
        ));
        Ok(())
    }

    pub(super) fn approve(&mut self, name: &'static str, image: &str) -> anyhow::Result<()> {
        let serial = self.pc(name)?.vm.serial_number().to_owned();
        let entry = self
            .school
            .api
            .find("/waiting", "hardware.serial", &serial)?
            .context("it left the waiting list")?;
        self.school.api.post(
            &format!("/waiting/{}/approve", text(&entry, "id")),
            &json!({ "name": name, "room": ROOM, "image": image }),
        )?;
        let device = self.school.api.find("/devices", "name", name)?.context("no device was made")?;
        self.pc(name)?.device = text(&device, "id");
        self.milestone(&format!("{name} is approved into {ROOM} and gets the image {image:?}"));
        Ok(())
    }

    fn wait_imaged(&mut self, names: &[&'static str]) -> anyhow::Result<()> {
        for name in names {
            let job = self.wait(&format!("{name} imaged"), LIMIT, |story| story.job_done(names, name))?;
            let took =
                Duration::from_millis(number(&job, "finished_at").saturating_sub(number(&job, "started_at")));
            let pc = self.pc(name)?;
            pc.times.imaged = Some(took);
            pc.times.bytes = number(&job, "result.bytes");
            pc.times.transferred = number(&job, "result.transferred");
            pc.manifest = text(&job, "result.manifest");
            self.milestone(&format!("{name} is imaged after {:.1} s", took.as_secs_f64()));
        }
        Ok(())
    }

    /// The state of a finished job of that PC; shows how far all of `names` are.
    pub(super) fn job_done(&mut self, names: &[&'static str], name: &str) -> anyhow::Result<Option<Value>> {
        let jobs = self.school.api.list("/jobs")?;
        let newest = |pc: &Pc| jobs.iter().find(|job| text(job, "device") == pc.device).cloned();
        let mut line = String::new();
        for other in names {
            let Some(state) = self.pcs.get(other).and_then(&newest).and_then(|job| job.get("state").cloned())
            else {
                continue;
            };
            if text(&state, "state") == "running" {
                let (done, total) =
                    (number(&state, "progress.done_bytes"), number(&state, "progress.total_bytes"));
                line += &format!("{other} {} {}  ", text(&state, "progress.phase"), bar(done, total));
            }
        }
        self.progress.moving(now(), &line);
        let state =
            self.pcs.get(name).and_then(newest).and_then(|job| job.get("state").cloned()).unwrap_or_default();
        match text(&state, "state").as_str() {
            "done" => Ok(Some(state)),
            "failed" => bail!("the job failed: {}", text(&state, "reason")),
            "cancelled" => bail!("somebody cancelled the job"),
            _ => Ok(None),
        }
    }

    pub(super) fn wait_own_system(&mut self, names: &[&'static str]) -> anyhow::Result<()> {
        for name in names {
            let device = self.wait(&format!("{name} reports from its own disk"), LIMIT, |story| {
                let device =
                    story.school.api.find("/devices", "name", name)?.context("the device is gone")?;
                Ok((!text(&device, "observed.hostname").is_empty()).then_some(device))
            })?;
            let hostname = text(&device, "observed.hostname");
            ensure!(hostname == *name, "{name} calls itself {hostname:?}");
            let reported = text(&device, "observed.manifest");
            let took = self.since_switched_on(name)?;
            let pc = self.pc(name)?;
            ensure!(reported == pc.manifest, "{name} runs image {reported}, it was given {}", pc.manifest);
            pc.times.own_system = Some(took);
            self.milestone(&format!(
                "{name} runs its own {} and reports under its new name",
                text(&device, "observed.os")
            ));
        }
        Ok(())
    }

    /// Returns where the console was when the PC was restarted.
    fn capture_begins(&mut self, name: &'static str) -> anyhow::Result<Mark> {
        let device = self.pc(name)?.device.clone();
        self.school.api.post(&format!("/devices/{device}/capture"), &json!({ "image": ROOM_IMAGE }))?;
        let pc = self.pc(name)?;
        let restarted = pc.vm.mark();
        self.milestone(&format!(
            "{name} is the model of the new image {ROOM_IMAGE:?}; it restarts by itself to be captured"
        ));
        Ok(restarted)
    }

    fn wait_captured(&mut self, name: &'static str) -> anyhow::Result<()> {
        let begun = now();
        let state = self.wait(&format!("{name} captured"), LIMIT, |story| story.job_done(&[name], name))?;
        self.milestone(&format!(
            "{name} is captured: {} MiB in use, {} MiB crossed the network, {:.1} s",
            number(&state, "result.bytes") >> 20,
            number(&state, "result.transferred") >> 20,
            now().duration_since(begun).as_secs_f64()
        ));
        Ok(())
    }

    /// What must be true at the end, beyond what each step checked.
    fn check_result(&mut self) -> anyhow::Result<()> {
        let image = self
            .school
            .api
            .find("/images", "name", ROOM_IMAGE)?
            .context("the captured image is not listed")?;
        let newest =
            image.get("versions").and_then(|v| v.get(0)).context("the captured image has no version")?;
        let manifest = text(newest, "manifest");
        let [_, bios, secure] = PCS;
        for (name, _) in [bios, secure] {
            let pc = self.pc(name)?;
            ensure!(pc.manifest == manifest, "{name} was not written from the captured image");
        }
        ensure!(self.school.api.list("/waiting")?.is_empty(), "the waiting list is not empty");
        Ok(())
    }

    /// The table at the end; also of a story that was cut short.
    pub(super) fn print_summary(&mut self) {
        let seconds =
            |time: Option<Duration>| time.map_or("-".to_owned(), |t| format!("{:.1}", t.as_secs_f64()));
        println!();
        println!(
            "{:<10} {:<18} {:>9} {:>9} {:>11} {:>8} {:>8}  image",
            "PC", "firmware", "on list s", "imaged s", "own system s", "MiB", "sent MiB"
        );
        for (name, pc) in self.pcs.iter().chain(&self.off) {
            println!(
                "{:<10} {:<18} {:>9} {:>9} {:>11} {:>8} {:>8}  {}",
                name,
                pc.config.firmware.to_string(),
                seconds(pc.times.waiting),
                seconds(pc.times.imaged),
                seconds(pc.times.own_system),
                pc.times.bytes >> 20,
                pc.times.transferred >> 20,
                pc.manifest.get(..16).unwrap_or("-"),
            );
        }
        let memory = memory_mib(self.school.pid());
        println!("server: {memory} MiB resident; logs in {}", self.work_dir.display());
    }

    /// Leaves everything running until the person has seen enough.
    pub(super) fn keep(&mut self, listener: TcpListener) -> anyhow::Result<()> {
        let address = listener.local_addr()?;
        doorway::open(listener, format!("{SERVER}:443").parse()?);
        println!("\nThe school goes on: https://{address}  (admin, password {})", self.school.password);
        println!("Your browser will warn: the certificate is the demo school's own. End with Ctrl-C.");
        while pause(&self.interrupted, Duration::from_secs(1)).is_ok() {
            self.school.check_alive()?;
        }
        Ok(())
    }

    /// Ends everything and removes the disks and the server's data; logs stay.
    pub(super) fn end(self) {
        let work_dir = self.work_dir.clone();
        drop(self);
        let _ = fs::remove_dir_all(format!("/run/hausmeister-demo-{}", std::process::id()));
        let _ = fs::remove_dir_all(work_dir.join("data"));
        let _ = fs::remove_dir_all(work_dir.join("other-disk"));
        for (name, _) in PCS {
            let _ = fs::remove_file(work_dir.join(format!("{name}.disk")));
        }
    }

    /// Ends everything after a failure and shows the last lines of each log.
    pub(super) fn keep_evidence(self) {
        let work_dir = self.work_dir.clone();
        self.end();
        for log in fs::read_dir(&work_dir).into_iter().flatten().flatten() {
            if log.path().extension().is_some_and(|e| e == "log") {
                let text = String::from_utf8_lossy(&fs::read(log.path()).unwrap_or_default()).into_owned();
                let lines: Vec<&str> = text.lines().collect();
                let tail = lines.get(lines.len().saturating_sub(12)..).unwrap_or_default();
                eprintln!("--- {}\n{}", log.path().display(), tail.join("\n"));
            }
        }
    }

    pub(super) fn pc(&mut self, name: &str) -> anyhow::Result<&mut Pc> {
        self.pcs.get_mut(name).with_context(|| format!("{name} is not switched on"))
    }

    /// Kills the server without a chance to say goodbye, and starts it again.
    pub(super) fn restart_server(&mut self) -> anyhow::Result<()> {
        self.school.kill()?;
        self.start_server()
    }

    /// Starts the server in the place of one that is gone.
    pub(super) fn start_server(&mut self) -> anyhow::Result<()> {
        let password = self.school.password.clone();
        self.school = self.plan().start(&password, &self.interrupted)?;
        Ok(())
    }

    pub(super) fn plan(&self) -> Plan<'_> {
        plan(&self.work_dir, &self.boot_files)
    }

    fn since_switched_on(&mut self, name: &str) -> anyhow::Result<Duration> {
        Ok(now().duration_since(self.pc(name)?.switched_on))
    }
}

fn plan<'a>(work_dir: &'a Path, boot_files: &'a Path) -> Plan<'a> {
    Plan { work_dir, boot_files, interface: BRIDGE, address: SERVER }
}

/// Resident memory of a process in MiB; 0 when it is gone.
fn memory_mib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    kib.unwrap_or(0_u64) / 1024
}

pub(super) const PCS: [(&str, Firmware); 3] =
    [("r204-pc01", Firmware::Bios), ("r204-pc02", Firmware::Bios), ("r204-pc03", Firmware::UefiSecureBoot)];
pub(super) const ROOM: &str = "Raum 204";
pub(super) const FIRST_IMAGE: &str = "Debian";
const ROOM_IMAGE: &str = "Raum 204";
const BRIDGE: &str = "br0";
pub(super) const SERVER: &str = "10.77.0.1";
const MEMORY_MIB: u32 = 512;
const DISK_BYTES: u64 = 2 << 30;
const POLL: Duration = Duration::from_millis(300);
/// No single step takes longer, even on a loaded machine with emulated processors.
pub(super) const LIMIT: Duration = Duration::from_secs(300);
