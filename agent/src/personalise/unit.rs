//! The files that the resident agent consists of in an installed system.

use super::Settings;

/// Where the resident agent finds what it needs.
pub const CONFIG_DIR: &str = "etc/hausmeister-agent";

/// A file to be put into a system.
#[derive(Debug)]
pub struct File<'s> {
    /// Path without a slash in front.
    pub path: &'static str,
    pub(super) content: Content<'s>,
    /// Permissions.
    pub mode: u32,
}

#[derive(Debug)]
pub(super) enum Content<'s> {
    Bytes(std::borrow::Cow<'s, [u8]>),
    Link(&'static str),
}

/// All files; with the unit that makes SSH host keys anew where there is an `ssh-keygen`.
pub fn files(settings: &Settings, with_ssh: bool) -> Vec<File<'_>> {
    let line = |text: &str| Content::Bytes(format!("{text}\n").into_bytes().into());
    let text = |text: &'static str| Content::Bytes(text.as_bytes().into());
    let mut files = vec![
        File {
            path: "usr/local/sbin/hausmeister-agent",
            content: Content::Bytes(settings.binary.as_slice().into()),
            mode: 0o755,
        },
        File {
            path: "etc/hausmeister-agent/ca.pem",
            content: Content::Bytes(settings.ca_pem.as_slice().into()),
            mode: 0o644,
        },
        File { path: "etc/hausmeister-agent/server", content: line(&settings.server), mode: 0o644 },
        File { path: "etc/hausmeister-agent/manifest", content: line(&settings.manifest), mode: 0o644 },
        File { path: "etc/systemd/system/hausmeister-agent.service", content: text(AGENT_UNIT), mode: 0o644 },
        File {
            path: "etc/systemd/system/multi-user.target.wants/hausmeister-agent.service",
            content: Content::Link("/etc/systemd/system/hausmeister-agent.service"),
            mode: 0,
        },
        File {
            path: "etc/systemd/system/hausmeister-software.service",
            content: text(SOFTWARE_UNIT),
            mode: 0o644,
        },
        File {
            path: "etc/systemd/system/multi-user.target.wants/hausmeister-software.service",
            content: Content::Link("/etc/systemd/system/hausmeister-software.service"),
            mode: 0,
        },
    ];
    if with_ssh {
        files.push(File {
            path: "etc/systemd/system/hausmeister-ssh-keys.service",
            content: text(SSH_UNIT),
            mode: 0o644,
        });
        files.push(File {
            path: "etc/systemd/system/multi-user.target.wants/hausmeister-ssh-keys.service",
            content: Content::Link("/etc/systemd/system/hausmeister-ssh-keys.service"),
            mode: 0,
        });
    }
    files
}

/// The resident agent reads the device key from the raw disk, hence root and block devices, read-only; everything else is
/// closed.
const AGENT_UNIT: &str = "\
[Unit]
Description=Hausmeister resident agent
Documentation=man:hausmeister-agent(8)
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/local/sbin/hausmeister-agent resident
Restart=always
RestartSec=15
MemoryMax=64M
TasksMax=16
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_DAC_READ_SEARCH
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
DevicePolicy=closed
DeviceAllow=block-* r
DeviceAllow=/dev/console w
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
UMask=0077

[Install]
WantedBy=multi-user.target
";

/// Installers do whatever they do, so nothing is closed here. All that they started ends with the agent, so that none runs on unwatched.
const SOFTWARE_UNIT: &str = "\
[Unit]
Description=Hausmeister agent for programs
Documentation=man:hausmeister-agent(8)
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/local/sbin/hausmeister-agent software
Restart=always
RestartSec=15
KillMode=control-group
Nice=10
IOSchedulingClass=best-effort
IOSchedulingPriority=7

[Install]
WantedBy=multi-user.target
";

/// The host keys of the reference PC were removed; sshd refuses to start without any.
const SSH_UNIT: &str = "\
[Unit]
Description=Make SSH host keys for this PC
Before=ssh.service sshd.service
ConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A

[Install]
WantedBy=multi-user.target
";
