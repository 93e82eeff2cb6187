//! The messages between the agent on a PC and `deployd`: JSON over HTTPS, both sides authenticated by TLS.
//!
//! The agent proves who it is with the key of its client certificate; no message carries an identity. The only secret is the
//! [`SwarmToken`] of a deploy. Binary bodies (chunks, hashes, manifests) are described at the constants that name their paths.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::swarm::{Fault, PeerId};

/// First line of the conversation: who is there. Allowed without an approval.
pub const HELLO: &str = "/v1/hello";
/// What is there to do? Answers when there is something, or after `wait_secs`.
pub const WORK: &str = "/v1/work";
/// A report of the installed system's resident agent.
pub const REPORT: &str = "/v1/report";
/// Prefix of everything that concerns one job:
/// `/v1/jobs/{id}/{progress,manifest,chunks,batch,drivers,driver,windows-agent,missing,upload,publish,finish,stay}`.
pub const JOBS: &str = "/v1/jobs";

/// Most chunk hashes that one `chunks` request may name.
pub const CHUNKS_PER_FETCH: usize = 256;
/// Chunks of a batch: what PCs that write the same image take from each other at once.
pub const BATCH_CHUNKS: usize = 64;
/// Longest [`Ask`] in bytes.
pub const ASK_BYTES_MAX: usize = 16 << 10;
/// Type of service of everything that agents say to the server and to each other: class selector 1 (RFC 8325, low-priority
/// data). A lesson goes first wherever it has to share a line with images.
pub const TYPE_OF_SERVICE: u8 = 8 << 2;
/// Most chunk hashes that one `missing` request may name.
pub const HASHES_PER_QUERY: usize = 65_536;
/// Largest body of an `upload` request in bytes.
pub const UPLOAD_BYTES_MAX: usize = 8 << 20;
/// Most hardware ids of one PC.
pub const DRIVER_IDS_MAX: usize = 2048;
/// Most folders of drivers that one PC is given.
pub const DRIVER_FOLDERS_MAX: usize = 64;
/// Most files of drivers that one PC is given. The list of them is at most 2 MiB long.
pub const DRIVER_FILES_MAX: usize = 8192;
/// Largest answer to a `drivers` request in bytes.
pub const DRIVER_REPLY_BYTES_MAX: usize = 2 << 20;
/// Name of the agent for Windows among the boot files. `GET {JOBS}/{id}/windows-agent` is answered with it, or with status 404.
pub const WINDOWS_AGENT: &str = "windows-agent.exe";
/// Largest agent for Windows in bytes.
pub const WINDOWS_AGENT_BYTES_MAX: usize = 32 << 20;
/// Largest JSON body in bytes.
pub const JSON_BYTES_MAX: usize = 256 << 10;

/// What a PC tells about itself at first contact and after every start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Version of the agent, as in its Cargo package.
    pub agent_version: String,
    /// Whether it runs from the network or from the disk.
    pub runs_in: RunsIn,
    /// What the machine is made of.
    pub hardware: Hardware,
}

/// Where an agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunsIn {
    /// Booted over the network; disks are not in use.
    BootEnvironment,
    /// The resident service of an installed system.
    InstalledSystem,
}

/// Firmware that started the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Firmware {
    /// PC BIOS.
    #[default]
    Bios,
    /// UEFI without Secure Boot.
    Uefi,
    /// UEFI with Secure Boot switched on.
    UefiSecureBoot,
}

/// Hardware as the machine itself describes it. Every text is untrusted and bounded by the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hardware {
    /// SMBIOS system manufacturer.
    pub vendor: String,
    /// SMBIOS product name.
    pub product: String,
    /// SMBIOS system serial number.
    pub serial: String,
    /// SMBIOS system UUID, lower case with hyphens.
    pub uuid: String,
    /// Firmware kind.
    pub firmware: Firmware,
    /// Processor name from /proc/cpuinfo.
    pub cpu: String,
    /// Logical processors.
    pub cpu_count: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Fixed disks.
    pub disks: Vec<Disk>,
    /// Network cards.
    pub nics: Vec<Nic>,
}

/// A disk of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Disk {
    /// Kernel name, for example `nvme0n1`; says nothing about identity.
    pub name: String,
    /// Model as the disk tells it.
    pub model: String,
    /// Serial number as the disk tells it.
    pub serial: String,
    /// World-wide name, where there is one.
    pub wwn: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Logical sector size in bytes.
    pub sector_bytes: u32,
    /// USB stick, card reader and the like.
    pub removable: bool,
}

/// A network card of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Nic {
    /// Kernel name, for example `enp1s0`.
    pub name: String,
    /// Hardware address, lower case with colons.
    pub mac: String,
    /// Driver that serves it.
    pub driver: String,
    /// Whether it has a link.
    pub carrier: bool,
    /// Whether it is a radio.
    pub wireless: bool,
}

/// Answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum HelloReply {
    /// On the waiting list. The screen shows the code until a person approves it; ask again with another `Hello`.
    Waiting {
        /// Six decimal digits.
        code: String,
    },
    /// A device of the inventory.
    Approved {
        /// Device id.
        device: String,
        /// Host name.
        name: String,
        /// Room name.
        room: String,
    },
    /// A person said no. Nothing is shown but this; ask again after an hour.
    Rejected,
}

/// Answer of [`WORK`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
pub enum Work {
    /// Nothing; ask again.
    Idle,
    /// Carry this out.
    Job(Job),
    /// Restart into the installed system.
    Reboot,
}

/// One job for this PC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Job id, part of the paths below [`JOBS`].
    pub id: String,
    /// What to do.
    pub task: Task,
}

/// What a job asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Task {
    /// Write an image to the disk.
    Deploy {
        /// Image name, for the screen.
        image: String,
        /// Version of the image, counted from 1.
        version: i64,
        /// Manifest id: BLAKE3 of the signed manifest, hex.
        manifest: String,
        /// Ed25519 key that signed the manifest, 32 bytes hex.
        signing_key: String,
        /// Host name to set after writing.
        hostname: String,
        /// Identity of the disk that was used before ([`Disk::serial`] or [`Disk::wwn`]), if any.
        disk: Option<String>,
        /// What PCs show each other that were given the same image in the same room. Without it chunks come from the server
        /// only.
        #[serde(default)]
        swarm: Option<SwarmToken>,
    },
    /// Read the disk into the image store.
    Capture {
        /// Image name.
        image: String,
    },
}

/// 32 secret bytes that the PCs of a [`crate::swarm::Swarm`] have in common.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SwarmToken(pub [u8; 32]);

impl std::fmt::Debug for SwarmToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SwarmToken")
    }
}

/// A question for chunks of one batch. The body of a `batch` request is the length of the question (u32, little-endian),
/// the question as JSON, and the hashes of the chunks; the answer is their bytes as those of `chunks`
/// (`application/octet-stream`), or a [`Referral`] (`application/json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Number of the batch of [`BATCH_CHUNKS`], counted from the beginning of the image.
    pub batch: u32,
    /// TCP port on which this PC passes on what it has.
    pub port: u16,
    /// Batches before this one are on its disk.
    pub written: u32,
    /// It was referred often enough; the server is to send.
    pub direct: bool,
    /// What became of batches since the last question.
    pub told: Vec<Told>,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Which.
    pub batch: u32,
    /// Who was no help, and why; `None`: all of it is there.
    pub failed: Option<(PeerId, Fault)>,
}

/// From whom chunks are to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referral {
    /// Where.
    pub address: SocketAddr,
    /// BLAKE3 of the public key that it proves.
    pub peer: PeerId,
    /// After so many milliseconds without all of it, ask again.
    pub patience_ms: u64,
}

/// Answer to `stay`, which a PC asks that has written everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stay {
    /// Whether others still need it. Ask again after two seconds.
    pub needed: bool,
}

/// Body of a `drivers` request: what a PC is made of that Windows was written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverAsk {
    /// Processor that the Windows is for, as answer files name it: `amd64`, `arm64` or `x86`.
    pub processor: String,
    /// Hardware ids of all devices, in capitals ([`crate::drivers`]), at most [`DRIVER_IDS_MAX`].
    pub ids: Vec<String>,
}

/// Answer to [`DriverAsk`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverReply {
    /// Folders with an INF file that serves one of the devices, at most [`DRIVER_FOLDERS_MAX`].
    pub folders: Vec<DriverFolder>,
}

/// A folder of drivers with everything below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverFolder {
    /// Where it lies in the server's folder, with slashes.
    pub path: String,
    /// Its files.
    pub files: Vec<DriverFile>,
}

/// A file of a driver. Its content is the answer to a `driver` request with a [`DriverFetch`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverFile {
    /// Where it lies in its folder, with slashes.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Body of a `driver` request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverFetch {
    /// Where the file lies in the server's folder, with slashes.
    pub path: String,
}

/// How far a job is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is going on.
    pub phase: Phase,
    /// Bytes done of this phase.
    pub done_bytes: u64,
    /// Bytes of this phase in all; 0 while unknown.
    pub total_bytes: u64,
    /// Bytes of this phase per second, over the last seconds; 0 while unknown. Older agents do not say.
    #[serde(default)]
    pub bytes_per_sec: u64,
    /// Bytes that crossed the network so far. Older agents do not say.
    #[serde(default)]
    pub transferred: u64,
    /// Those of `transferred` that came from other PCs.
    #[serde(default)]
    pub peer_bytes: u64,
}

/// Phases of a job, in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Looking at disks and file systems.
    #[default]
    Prepare,
    /// Moving chunks.
    Transfer,
    /// Growing file systems, host name, agent.
    Personalise,
    /// Writing the partition table and the boot entry.
    Finish,
}

/// Answer to [`Progress`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobControl {
    /// Go on.
    Continue,
    /// A person cancelled it.
    Cancel,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Finish {
    /// Done.
    Ok {
        /// Bytes that were written to the disk, or read from it.
        bytes: u64,
        /// Bytes that crossed the network.
        transferred: u64,
        /// Disk that was used: its serial, or its wwn, or empty.
        disk: String,
        /// Bytes that were not transferred again because an interrupted run had left them.
        resumed_bytes: u64,
        /// Bytes that were not transferred because the disk held them from an earlier image. Agents that do not look say
        /// nothing.
        #[serde(default)]
        kept_bytes: u64,
        /// Those of `transferred` that came from other PCs.
        #[serde(default)]
        peer_bytes: u64,
        /// What did not work and need not for the PC to start.
        #[serde(default)]
        shortcomings: Vec<Shortcoming>,
    },
    /// Not done.
    Failed {
        /// What went wrong and what to do, for the admin.
        reason: String,
    },
}

/// What a deploy could not do although it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Shortcoming {
    /// An NTFS has its old size in its larger partition.
    NotGrown {
        /// Number of the partition.
        partition: u32,
    },
    /// A Windows has its name and its drivers, but no agent: nothing is installed on it, and it reports nothing.
    NoAgent {
        /// Number of the partition.
        partition: u32,
    },
    /// An NTFS could not be looked into. If Windows is on it, it has the name of the reference PC.
    NotOpened {
        /// Number of the partition.
        partition: u32,
    },
}

/// What an installed system says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Its host name.
    pub hostname: String,
    /// `PRETTY_NAME` of /etc/os-release.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// Seconds since it started.
    pub uptime_secs: u64,
    /// Manifest id of the image it was made from, as the deploy left it.
    pub manifest: String,
}

/// Body of every error answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What is wrong.
    pub error: String,
    /// What to do about it.
    pub remedy: String,
}
