//! The command line: what can be said, and who carries it out.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use inventory::config::{ConfigFile, DEFAULT_PATH};

use crate::{backup, boot_environment, check, demo, doctor, image, init, up};

/// The caretaker of a school's network: DHCP, DNS, network boot and imaging.
#[derive(Debug, Parser)]
#[command(name = "hausmeister", version)]
pub struct Cli {
    /// Configuration file.
    #[arg(long, global = true, default_value = DEFAULT_PATH, env = "HAUSMEISTER_CONFIG")]
    pub config: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the command can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set up this server: keys, configuration, first admin, networks. Safe to repeat.
    Init(InitArgs),
    /// Run all daemons in one process until it is told to stop.
    Up,
    /// Look at the configuration and this server, and say in plain words what is wrong.
    Check,
    /// Collect what somebody who helps wants to see, without names, addresses and secrets, in one file.
    Doctor {
        /// The file to write (tar, compressed with zstd); one named after the time in this folder when absent.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Images of prepared machines.
    #[command(subcommand)]
    Image(ImageCommand),
    /// Backups of this server: set them up, make one, look at them.
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Bring this server back to a backup, or bring a new one up from it.
    Restore(RestoreArgs),
    /// Build what PCs boot from the network (run when packages or the agent change).
    BootEnvironment(BootEnvironmentArgs),
    /// A school in a box: server and virtual PCs in a network of their own, from first boot to imaged room.
    Demo(DemoArgs),
}

/// Arguments of `init`. Every question has an answer here, so that it can run without a person.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Name of the school.
    #[arg(long)]
    pub name: Option<String>,
    /// DNS zone of the school's devices.
    #[arg(long)]
    pub zone: Option<String>,
    /// Folder for keys, boot files, images and the database.
    #[arg(long, default_value = "/var/lib/hausmeister")]
    pub data_dir: PathBuf,
    /// Network interface to serve; may be repeated. All with an IPv4 address when absent.
    #[arg(long = "interface")]
    pub interfaces: Vec<String>,
    /// DNS server that questions about the rest of the world are passed to; may be repeated.
    #[arg(long = "dns-forwarder")]
    pub dns_forwarders: Vec<Ipv4Addr>,
    /// Database, when it is not to be a file in the data folder.
    #[arg(long)]
    pub database: Option<String>,
    /// Where iPads reach the MDM server, for example `https://mdm.schule.example`. An iPad that enrolled keeps it for ever.
    #[arg(long)]
    pub mdm_url: Option<String>,
    /// Name of the first admin.
    #[arg(long, default_value = "admin")]
    pub admin: String,
    /// File whose first line is the first admin's password; one is made up and shown when absent.
    #[arg(long)]
    pub password_file: Option<PathBuf>,
    /// Folder with the boot environment, as `boot-environment` makes it.
    #[arg(long, default_value = "/usr/share/hausmeister/boot")]
    pub boot_files: PathBuf,
    /// More kernel arguments for PCs in the boot environment, for example `console=ttyS0,115200`.
    #[arg(long, default_value = "console=tty0")]
    pub kernel_arguments: String,
}

/// What can be done with images.
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Take a disk image file (raw, with a partition table) into the store as a new version of an image.
    Import {
        /// The file.
        file: PathBuf,
        /// Name of the image.
        #[arg(long)]
        name: String,
    },
    /// List images and their versions.
    List,
    /// Write the newest versions to a place from which other servers fetch them. Safe to repeat: what lies there is not sent
    /// again, and what is no longer published is removed.
    Publish {
        /// `file:///folder` or `s3://bucket/prefix`.
        #[arg(long)]
        to: deployd::upstream::Place,
        /// File with access to S3: access_key_id, secret_access_key, endpoint, region (TOML).
        #[arg(long)]
        credentials: Option<PathBuf>,
        /// File (PEM) with the certificates that the endpoint may be signed by; the usual authorities when absent.
        #[arg(long)]
        ca: Option<PathBuf>,
        /// Name of an image; may be repeated. All when absent.
        #[arg(long = "image")]
        images: Vec<String>,
    },
}

/// What can be done with backups.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Choose where backups go, and get the recovery phrase. Safe to repeat: says the phrase again.
    Setup {
        /// A folder on another disk, or `sftp:user@host:/folder`, `rest:https://…`, `s3:https://…`; as configured when absent.
        #[arg(long)]
        to: Option<String>,
        /// File with the recovery phrase of backups that lie there already.
        #[arg(long)]
        phrase_file: Option<PathBuf>,
    },
    /// Make one now.
    Now,
    /// List them, the newest first.
    List,
    /// Make them every night and when the page asks for one, until it is told to stop: beside daemons that run each by itself.
    Serve,
    /// Put in place what a restore has prepared; the daemons must not run. Does nothing when there is nothing.
    Finish,
    /// Bring the newest one back on trial, beside what is in use, and look whether it is whole.
    Drill,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// Where the backups are; as configured when absent.
    #[arg(long)]
    pub from: Option<String>,
    /// File of `NAME=value` lines that the place wants; as configured when absent.
    #[arg(long)]
    pub environment_file: Option<PathBuf>,
    /// File with the recovery phrase; the one kept on this server when absent, else it is asked for.
    #[arg(long)]
    pub phrase_file: Option<PathBuf>,
    /// The last backup that was made on this day or before it, for example `2026-11-20`; the newest when absent.
    #[arg(long, conflicts_with = "snapshot")]
    pub at: Option<jiff::civil::Date>,
    /// One backup by its id, as `backup list` shows it.
    #[arg(long)]
    pub snapshot: Option<String>,
    /// Say what would be done and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `boot-environment`.
#[derive(Debug, Args)]
pub struct BootEnvironmentArgs {
    /// Folder that `images/fetch-boot-packages.sh` filled.
    #[arg(long)]
    pub packages: PathBuf,
    /// The statically linked agent.
    #[arg(long)]
    pub agent: PathBuf,
    /// Folder to write to.
    #[arg(long)]
    pub out: PathBuf,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Folder with the boot environment.
    #[arg(long, default_value = "target/boot")]
    pub boot_files: PathBuf,
    /// Disk image of the prepared Debian.
    #[arg(long, default_value = "target/demo/debian.img")]
    pub image: PathBuf,
    /// Folder for disks, logs and the server's data.
    #[arg(long, default_value = "target/demo/run")]
    pub work_dir: PathBuf,
    /// Tell of a hard day: the plug of a PC is pulled while it is written, and the server is killed.
    #[arg(long)]
    pub faults: bool,
    /// Leave the school running at the end, with its page on this computer, until Ctrl-C.
    #[arg(long)]
    pub keep: bool,
}

/// Carries out what was said.
///
/// # Errors
/// Whatever stopped it, with its cause.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    // The demo moves this process into a network namespace of its own, which is possible only while it has one thread.
    if let Command::Demo(args) = cli.command {
        return demo::run(args);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match cli.command {
            Command::Init(args) => init::run(&cli.config, args).await.map(|()| ExitCode::SUCCESS),
            Command::Up => up::run(&cli.config).await.map(|()| ExitCode::SUCCESS),
            Command::Check => check::run(&cli.config).await,
            Command::Doctor { out } => doctor::run(&cli.config, out).await.map(|()| ExitCode::SUCCESS),
            Command::Image(command) => {
                image::run(ConfigFile::read(&cli.config)?, command).await.map(|()| ExitCode::SUCCESS)
            }
            Command::Backup(command) => {
                backup::command::run(&cli.config, command).await.map(|()| ExitCode::SUCCESS)
            }
            Command::Restore(args) => {
                backup::command::restore(&cli.config, args).await.map(|()| ExitCode::SUCCESS)
            }
            Command::BootEnvironment(args) => boot_environment::run(&args).map(|()| ExitCode::SUCCESS),
            Command::Demo(_) => Ok(ExitCode::FAILURE),
        }
    })
}
