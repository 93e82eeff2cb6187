//! Virtual PCs with real firmware: QEMU, for the demo and the end-to-end tests.
//!
//! A PC boots from the network first and from its disk second, as a school's PCs are set up. Software emulation only: it works on any
//! machine, also inside another virtual machine.
//!
//! | Firmware       | Network boot                                                                        |
//! |----------------|-------------------------------------------------------------------------------------|
//! | BIOS           | the network card's ROM is iPXE, which asks by DHCP as iPXE and runs the script it gets |
//! | UEFI           | OVMF's own PXE over IPv4, or HTTP Boot with [`Extras::http_boot`]                   |
//! | UEFI + SB      | the same; OVMF with Microsoft's keys and a protected variable store                 |
//!
//! A [`VirtualPc`] ends when it is dropped, and also when the thread that started it ends, however that happens: start it from a
//! thread that lives as long as it should.

mod computer;
mod console;
mod network;
mod qmp;

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

pub use computer::Computer;
use console::Console;
pub use network::Network;
use qmp::Qmp;

/// What a PC starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// `SeaBIOS`.
    Bios,
    /// OVMF without Secure Boot.
    Uefi,
    /// OVMF with Secure Boot on and Microsoft's keys, as a PC is sold.
    UefiSecureBoot,
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Firmware::Bios => "BIOS",
            Firmware::Uefi => "UEFI",
            Firmware::UefiSecureBoot => "UEFI Secure Boot",
        })
    }
}

/// What every PC has.
#[derive(Debug, Clone)]
pub struct VmConfig {
    /// Its name, for messages.
    pub name: String,
    /// What it starts with.
    pub firmware: Firmware,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// File with its disk; an empty one is made if there is none.
    pub disk: PathBuf,
    /// Size of a disk that is made, in bytes.
    pub disk_bytes: u64,
    /// Tap interface that its network card is plugged into ([`Network::tap`]).
    pub tap: String,
    /// Hardware address of its network card, `52:54:00:…`.
    pub mac: String,
    /// Serial number that its firmware tells (SMBIOS).
    pub serial_number: String,
    /// File that its serial console is written to, a line with the seconds since the start for each.
    pub log: PathBuf,
}

/// What some PCs have.
#[derive(Debug, Clone)]
pub struct Extras {
    /// How the disk is attached.
    pub disk: DiskInterface,
    /// QEMU's model of the network card.
    pub network_card: String,
    /// UEFI only: HTTP Boot takes the place of PXE.
    pub http_boot: bool,
    /// Number of processors.
    pub processors: u8,
    /// A screen that [`VirtualPc::screenshot`] can photograph. Costs time at boot.
    pub screen: bool,
    /// More arguments for QEMU.
    pub arguments: Vec<String>,
}

impl Default for Extras {
    fn default() -> Self {
        Self {
            disk: DiskInterface::VirtioBlk,
            network_card: "virtio-net-pci".to_owned(),
            http_boot: false,
            processors: 1,
            screen: false,
            arguments: Vec::new(),
        }
    }
}

/// How a disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskInterface {
    /// `/dev/vda`.
    VirtioBlk,
    /// `/dev/nvme0n1`.
    Nvme,
    /// `/dev/sda` on an AHCI controller.
    Ahci,
}

/// What a PC has cost this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time.
    pub cpu: Duration,
    /// Most memory it ever had at once, in KiB.
    pub peak_memory_kib: u64,
}

/// A PC that is switched on.
#[derive(Debug)]
pub struct VirtualPc {
    name: String,
    serial_number: String,
    process: Child,
    console: Console,
    qmp: Qmp,
    /// OVMF's variables; removed with the PC.
    variables: Option<PathBuf>,
    usage: Usage,
}

impl VirtualPc {
    /// Switches a PC on.
    ///
    /// # Errors
    /// QEMU or its firmware is not installed, a file cannot be made, or QEMU refuses.
    pub fn start(config: &VmConfig) -> anyhow::Result<Self> {
        Self::start_with(config, &Extras::default())
    }

    /// Switches on a PC that has something special.
    ///
    /// # Errors
    /// As [`VirtualPc::start`].
    pub fn start_with(config: &VmConfig, extras: &Extras) -> anyhow::Result<Self> {
        make_disk(&config.disk, config.disk_bytes)
            .with_context(|| format!("cannot make the disk {}", config.disk.display()))?;
        let variables = copy_variables(config)?;
        let listener = qmp::Listener::new(&config.mac)?;
        let mut command = Command::new(QEMU);
        command.args(arguments(config, extras, variables.as_deref(), listener.name()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[allow(unsafe_code, reason = "prctl is async-signal-safe and touches only the child")]
        // SAFETY: the closure makes one system call and allocates nothing.
        unsafe {
            command.pre_exec(|| {
                nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).map_err(Into::into)
            });
        }
        let mut process = command.spawn().with_context(|| {
            format!("cannot start {QEMU} (Debian packages qemu-system-x86 and ovmf) for {}", config.name)
        })?;
        let mut begin = || -> anyhow::Result<(Console, Qmp)> {
            let console = Console::follow(&mut process, &config.log)?;
            let qmp = listener.accept(&mut process).with_context(|| {
                format!("QEMU did not start {}: see {}", config.name, config.log.display())
            })?;
            Ok((console, qmp))
        };
        match begin() {
            Ok((console, qmp)) => Ok(Self {
                name: config.name.clone(),
                serial_number: config.serial_number.clone(),
                process,
                console,
                qmp,
                variables,
                usage: Usage::default(),
            }),
            Err(error) => {
                let _ = process.kill();
                let _ = process.wait();
                variables.iter().for_each(|path| drop(fs::remove_file(path)));
                Err(error)
            }
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Serial number that its firmware tells.
    #[must_use]
    pub fn serial_number(&self) -> &str {
        &self.serial_number
    }

    /// Whether it is still on. Restarts do not count as off.
    ///
    /// # Errors
    /// The process cannot be asked.
    pub fn is_running(&mut self) -> anyhow::Result<bool> {
        Ok(self.off()?.is_none())
    }

    /// How QEMU ended, if it did: a PC that powers itself off ends with success.
    ///
    /// # Errors
    /// The process cannot be asked.
    pub fn off(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let status =
            self.process.try_wait().with_context(|| format!("cannot ask for the state of {}", self.name))?;
        if status.is_none() {
            self.usage = usage_of(self.process.id()).unwrap_or(self.usage);
        }
        Ok(status)
    }

    /// The latest line of the serial console with `text` in it, without its time; also a line that has not ended, as a login prompt.
    ///
    /// # Errors
    /// The console could not be read on or its log not be written.
    pub fn line_with(&mut self, text: &str) -> anyhow::Result<Option<String>> {
        self.console.line_with(text).with_context(|| format!("the console of {}", self.name))
    }

    /// The latest line with `text` in it that came after `mark`, which a call of [`VirtualPc::mark`] gave.
    ///
    /// # Errors
    /// As [`VirtualPc::line_with`].
    pub fn line_since(&mut self, mark: Mark, text: &str) -> anyhow::Result<Option<String>> {
        self.console.line_since(mark.0, text).with_context(|| format!("the console of {}", self.name))
    }

    /// This place in the console.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(self.console.lines_so_far())
    }

    /// Types on the serial console.
    ///
    /// # Errors
    /// The PC is off.
    pub fn type_text(&mut self, text: &str) -> anyhow::Result<()> {
        use std::io::Write as _;
        let Some(stdin) = &mut self.process.stdin else {
            bail!("{} has no keyboard on its console", self.name)
        };
        stdin.write_all(text.as_bytes()).with_context(|| format!("cannot type on {}", self.name))
    }

    /// Presses Ctrl-Alt-Del, upon which systems restart in an orderly way.
    ///
    /// # Errors
    /// The PC is off or QEMU refuses.
    pub fn press_ctrl_alt_del(&mut self) -> anyhow::Result<()> {
        let keys = ["ctrl", "alt", "delete"].map(|key| serde_json::json!({ "type": "qcode", "data": key }));
        self.qmp.execute("send-key", &serde_json::json!({ "keys": keys })).map(drop)
    }

    /// Presses the power button shortly.
    ///
    /// # Errors
    /// The PC is off or QEMU refuses.
    pub fn press_power_button(&mut self) -> anyhow::Result<()> {
        self.qmp.execute("system_powerdown", &serde_json::Value::Null).map(drop)
    }

    /// Presses the reset button.
    ///
    /// # Errors
    /// The PC is off or QEMU refuses.
    pub fn press_reset(&mut self) -> anyhow::Result<()> {
        self.qmp.execute("system_reset", &serde_json::Value::Null).map(drop)
    }

    /// Pulls or plugs the network cable.
    ///
    /// # Errors
    /// The PC is off or QEMU refuses.
    pub fn set_cable(&mut self, plugged: bool) -> anyhow::Result<()> {
        self.qmp.execute("set_link", &serde_json::json!({ "name": "card", "up": plugged })).map(drop)
    }

    /// Writes what the screen shows to a file, as PPM. Needs [`Extras::screen`].
    ///
    /// # Errors
    /// The PC is off, has no screen, or the file cannot be written.
    pub fn screenshot(&mut self, file: &Path) -> anyhow::Result<()> {
        let absolute = std::path::absolute(file)?;
        self.qmp.execute("screendump", &serde_json::json!({ "filename": absolute })).map(drop)
    }

    /// Pulls the mains plug and tells what the PC has cost. Writes that have reached its disk file stay.
    ///
    /// # Errors
    /// The process cannot be ended.
    pub fn pull_plug(mut self) -> anyhow::Result<Usage> {
        self.is_running()?;
        self.process.kill().with_context(|| format!("cannot end {}", self.name))?;
        Ok(self.usage)
    }

    /// What it has cost up to the last look at it ([`VirtualPc::is_running`]).
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.usage
    }
}

impl Drop for VirtualPc {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.console.finish();
        if let Some(path) = &self.variables {
            let _ = fs::remove_file(path);
        }
    }
}

/// A place in the console of one PC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u64);

fn make_disk(path: &Path, bytes: u64) -> std::io::Result<()> {
    match File::options().write(true).create_new(true).open(path) {
        Ok(file) => file.set_len(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// A copy of OVMF's variable store for this PC, beside its disk.
fn copy_variables(config: &VmConfig) -> anyhow::Result<Option<PathBuf>> {
    let template = match config.firmware {
        Firmware::Bios => return Ok(None),
        Firmware::Uefi => "OVMF_VARS_4M.fd",
        Firmware::UefiSecureBoot => "OVMF_VARS_4M.ms.fd",
    };
    let template = Path::new(OVMF).join(template);
    let path = config.disk.with_extension("vars");
    fs::copy(&template, &path).with_context(|| {
        format!("cannot copy {} to {} (Debian package ovmf)", template.display(), path.display())
    })?;
    Ok(Some(path))
}

fn arguments(
    config: &VmConfig,
    extras: &Extras,
    variables: Option<&Path>,
    qmp_socket: &str,
) -> Vec<OsString> {
    let mut list: Vec<OsString> = Vec::new();
    let mut add = |words: &[&str]| list.extend(words.iter().map(OsString::from));
    let memory = config.memory_mib.to_string();
    let processors = extras.processors.to_string();
    // Nothing that is not asked for: every default device costs a driver at boot.
    add(&["-nodefaults", "-no-user-config", "-display", "none", "-accel", "tcg,thread=multi", "-cpu", "max"]);
    add(&["-m", &memory, "-smp", &processors, "-serial", "stdio"]);
    add(&["-vga", if extras.screen { "std" } else { "none" }]);
    add(&["-qmp", &format!("unix:{qmp_socket},abstract=on,server=off")]);
    add(&[
        "-smbios",
        &format!(
            "type=1,manufacturer=Hausmeister,product=Demo-PC,serial={},uuid={}",
            escaped(&config.serial_number),
            uuid_from(&config.mac)
        ),
    ]);
    match config.firmware {
        // Without a screen the BIOS and its iPXE speak on the serial console.
        Firmware::Bios => add(&["-machine", "pc,graphics=off"]),
        Firmware::Uefi => add(&["-machine", "q35"]),
        // Only code in system management mode may write variables; sleep would be a way around that.
        Firmware::UefiSecureBoot => add(&[
            "-machine",
            "q35,smm=on",
            "-global",
            "driver=cfi.pflash01,property=secure,value=on",
            "-global",
            "ICH9-LPC.disable_s3=1",
        ]),
    }
    if let Some(variables) = variables {
        let code = match config.firmware {
            Firmware::UefiSecureBoot => "OVMF_CODE_4M.secboot.fd",
            _ => "OVMF_CODE_4M.fd",
        };
        add(&["-drive", &format!("if=pflash,format=raw,unit=0,readonly=on,file={OVMF}/{code}")]);
        add(&[
            "-drive",
            &format!("if=pflash,format=raw,unit=1,file={}", escaped(&variables.to_string_lossy())),
        ]);
        // IPv6 first would cost a minute of waiting on a network without it.
        add(&["-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n"]);
        if extras.http_boot {
            add(&["-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n"]);
        }
    }
    add(&["-netdev", &format!("tap,id=net0,ifname={},script=no,downscript=no", escaped(&config.tap))]);
    // An empty ROM file leaves UEFI's network boot to the firmware itself, as on real PCs.
    let rom = if config.firmware == Firmware::Bios { "" } else { ",romfile=" };
    let (card, mac) = (&extras.network_card, &config.mac);
    add(&["-device", &format!("{card},id=card,netdev=net0,mac={mac},bootindex=1{rom}")]);
    // The host's page cache is memory enough: it outlives the PC, and a test may pull its plug.
    let disk = escaped(&config.disk.to_string_lossy());
    add(&["-drive", &format!("if=none,id=disk0,format=raw,cache=unsafe,discard=unmap,file={disk}")]);
    // UEFI connects only what it may boot from, and GRUB sees only what is connected: hence a boot index for the disk as well.
    let serial = escaped(&format!("D-{}", config.serial_number));
    match extras.disk {
        DiskInterface::VirtioBlk => {
            add(&["-device", &format!("virtio-blk-pci,drive=disk0,serial={serial},bootindex=2")]);
        }
        DiskInterface::Nvme => add(&["-device", &format!("nvme,drive=disk0,serial={serial},bootindex=2")]),
        DiskInterface::Ahci => {
            add(&["-device", "ich9-ahci,id=ahci0"]);
            add(&["-device", &format!("ide-hd,bus=ahci0.0,drive=disk0,serial={serial},bootindex=2")]);
        }
    }
    list.extend(extras.arguments.iter().map(OsString::from));
    list
}

/// QEMU separates properties by commas and reads a doubled one as itself.
fn escaped(value: &str) -> String {
    value.replace(',', ",,")
}

/// A UUID (version 4 by its form) that differs where hardware addresses do.
fn uuid_from(mac: &str) -> String {
    let digits: String = mac.chars().filter(char::is_ascii_hexdigit).take(12).collect();
    format!("4861b5e1-7e00-4d0e-8000-{digits:0>12}")
}

/// Processor time and peak memory of a live process.
fn usage_of(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    usage_from(&stat, &status)
}

/// The same from the texts; the name in parentheses may hold anything.
fn usage_from(stat: &str, status: &str) -> Option<Usage> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut ticks = fields.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    let total = ticks.next()?.ok()?.checked_add(ticks.next()?.ok()?)?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let peak_memory_kib = peak.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Usage { cpu: Duration::from_millis(total.saturating_mul(MILLIS_PER_TICK)), peak_memory_kib })
}

const QEMU: &str = "qemu-system-x86_64";
const OVMF: &str = "/usr/share/OVMF";
/// `USER_HZ` is 100 on every Linux for PCs.
const MILLIS_PER_TICK: u64 = 10;

#[cfg(test)]
mod tests;
