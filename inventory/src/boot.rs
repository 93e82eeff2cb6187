//! What a PC boots from the network, and the scripts that tell its boot loader so.
//!
//! The decision rests on a hardware address, which anybody can claim. That is harmless by construction: it chooses between
//! the PC's own disk and the boot environment, and the boot environment gets nothing before its key was approved.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use crate::{Answer, Device, DeviceId, Inventory, MacAddr, UnixMillis};

/// What a PC boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boot {
    /// Its own disk: there is nothing to do.
    LocalDisk,
    /// The boot environment: it is unknown, not approved, or has a job.
    Environment,
}

/// What is known about who boots what: a snapshot that boot servers answer from.
#[derive(Debug, Clone, Default)]
pub struct BootView {
    by_mac: HashMap<MacAddr, Boot>,
}

impl BootView {
    /// Combines the devices with the set of devices that have an open job.
    #[must_use]
    pub fn new(devices: &[Device], with_job: &HashSet<DeviceId>) -> Self {
        let by_mac = devices
            .iter()
            .flat_map(|device| {
                let nothing_to_do = device.key.is_some() && !with_job.contains(&device.id);
                let boot = if nothing_to_do { Boot::LocalDisk } else { Boot::Environment };
                device.interfaces.iter().map(move |card| (card.mac, boot))
            })
            .collect();
        Self { by_mac }
    }

    /// What the PC with that card boots.
    #[must_use]
    pub fn decide(&self, mac: MacAddr) -> Boot {
        self.by_mac.get(&mac).copied().unwrap_or(Boot::Environment)
    }
}

impl Inventory {
    /// The present snapshot.
    ///
    /// # Errors
    /// The database failed. Rows that make no sense are left out: their PCs boot the environment.
    pub fn boot_view(&self) -> Answer<'_, BootView> {
        Box::pin(async move {
            let (devices, _) = self.devices().await?;
            let (jobs, _) = self.open_jobs().await?;
            Ok(BootView::new(&devices, &jobs.iter().map(|job| job.device).collect()))
        })
    }
}

/// Where a boot script points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootServer {
    /// Our address in the PC's network.
    pub address: Ipv4Addr,
    /// Port of the plain HTTP server for firmware.
    pub http_port: u16,
    /// Port of the TLS server for agents.
    pub agent_port: u16,
    /// More kernel arguments, for example `console=ttyS0`; no line breaks.
    pub kernel_arguments: String,
}

impl BootServer {
    fn http(&self) -> String {
        format!("http://{}:{}/boot", self.address, self.http_port)
    }

    /// The kernel command line of the boot environment. `now` lets a PC with a dead clock battery check certificates; it
    /// decides nothing else.
    #[must_use]
    pub fn command_line(&self, now: UnixMillis) -> String {
        format!(
            "hausmeister.server=https://{}:{} hausmeister.time={} panic=30 quiet {}",
            self.address,
            self.agent_port,
            now.0 / 1000,
            self.kernel_arguments
        )
        .trim_end()
        .to_owned()
    }

    /// First script of an iPXE that was given its URL by DHCP; it comes back with the card that booted.
    #[must_use]
    pub fn ipxe_script(&self, boot: Boot, now: UnixMillis) -> String {
        match boot {
            Boot::Environment => format!(
                "#!ipxe\necho Hausmeister\nkernel {http}/vmlinuz initrd=initrd.img {line} || goto failed\n\
                 initrd --name initrd.img {http}/initrd.img || goto failed\nboot || goto failed\n\
                 :failed\necho Hausmeister: the boot environment could not be loaded from {http}\n\
                 echo Trying again in 20 seconds\nsleep 20\nreboot\n",
                http = self.http(),
                line = self.command_line(now)
            ),
            // UEFI firmware takes a failed boot entry as the wish for the next one; a BIOS is asked for its first disk. A PC
            // whose disk does not start gets the boot environment, which says so and waits for a job.
            Boot::LocalDisk => format!(
                "#!ipxe\necho Hausmeister: nothing to do, starting this PC's own disk\n\
                 iseq ${{platform}} efi && exit 1 ||\nsanboot --no-describe --drive 0x80 ||\n{}",
                self.ipxe_script(Boot::Environment, now).trim_start_matches("#!ipxe\n")
            ),
        }
    }

    /// The GRUB configuration that every UEFI PC loads as `grub/grub.cfg`, by TFTP or HTTP; it continues with the one made
    /// for its card. GRUB writes `$net_default_mac` in lower case with colons.
    #[must_use]
    pub fn grub_entry(&self) -> String {
        format!(
            "set timeout=0\nset server=\"http,{}:{}\"\nif [ -n \"$net_default_mac\" ]; then\n  \
             configfile ($server)/boot/grub/by-mac/$net_default_mac.cfg\nfi\n{GRUB_FAILED}",
            self.address, self.http_port
        )
    }

    /// The GRUB configuration for one card.
    #[must_use]
    pub fn grub_config(&self, boot: Boot, now: UnixMillis) -> String {
        match boot {
            Boot::Environment => format!(
                "set timeout=0\necho \"Hausmeister: loading the boot environment\"\n\
                 if linux (http,{a}:{p})/boot/vmlinuz {line}; then\n  if initrd (http,{a}:{p})/boot/initrd.img; then\n    \
                 boot\n  fi\nfi\n{GRUB_FAILED}",
                a = self.address,
                p = self.http_port,
                line = self.command_line(now)
            ),
            // `root` must be the disk: the loader that is started looks for its next stage there. After `exit` firmware may
            // stop in its setup, so a PC without a system gets the boot environment, which says so and waits for a job.
            Boot::LocalDisk => format!(
                "set timeout=0\necho \"Hausmeister: nothing to do, starting this PC's own disk\"\n\
                 for loader in {LOCAL_LOADERS}; do\n  if search --no-floppy --file --set=root $loader; then\n    \
                 chainloader $loader\n    boot\n  fi\ndone\n{}",
                self.grub_config(Boot::Environment, now)
            ),
        }
    }
}

/// First loaders of installed systems on the EFI system partition, in the order they are tried.
const LOCAL_LOADERS: &str = "/efi/boot/bootx64.efi /efi/microsoft/boot/bootmgfw.efi /efi/debian/shimx64.efi";
/// What GRUB does when the server does not answer: it says so and tries again from the start.
const GRUB_FAILED: &str =
    "echo \"Hausmeister: no answer from the server, trying again in 20 seconds\"\nsleep 20\nreboot\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::device;

    #[test]
    fn only_an_approved_device_without_a_job_boots_its_disk() {
        let approved = device("a", "52:54:00:00:00:01", true);
        let busy = device("b", "52:54:00:00:00:02", true);
        let imported = device("c", "52:54:00:00:00:03", false);
        let view = BootView::new(&[approved, busy.clone(), imported], &HashSet::from([busy.id]));
        let boot = |mac: &str| view.decide(mac.parse().unwrap());
        assert_eq!(boot("52:54:00:00:00:01"), Boot::LocalDisk);
        assert_eq!(boot("52:54:00:00:00:02"), Boot::Environment);
        assert_eq!(boot("52:54:00:00:00:03"), Boot::Environment);
        assert_eq!(boot("52:54:00:00:00:04"), Boot::Environment);
    }

    #[test]
    fn scripts_name_the_server_and_nothing_secret() {
        let server = BootServer {
            address: Ipv4Addr::new(10, 77, 0, 1),
            http_port: 8067,
            agent_port: 8443,
            kernel_arguments: "console=ttyS0".into(),
        };
        let line = server.command_line(UnixMillis(1_763_000_000_123));
        expect_test::expect![[
            "hausmeister.server=https://10.77.0.1:8443 hausmeister.time=1763000000 panic=30 quiet console=ttyS0"
        ]]
        .assert_eq(&line);
        assert!(
            server
                .ipxe_script(Boot::Environment, UnixMillis(0))
                .contains("http://10.77.0.1:8067/boot/vmlinuz")
        );
        assert!(server.ipxe_script(Boot::LocalDisk, UnixMillis(0)).contains("sanboot"));
        assert!(server.grub_config(Boot::LocalDisk, UnixMillis(0)).contains("chainloader"));
    }
}
