//! Programs of the sample school: one that is there, one that failed, with texts that would break a page that does not escape.

use inventory::software::PcSoftware;
use inventory::{Audience, By, DeviceId, EntryId, Inventory, Result, RoomId, WishId};
use serde_json::json;
use software::package::{Architecture, Found, Package, System};
use software::plan::{Observed, Wish};
use software::protocol::StepResult;

/// A program for Debian that apt fetches.
pub(crate) fn program(id: &str, name: &str, version: &str) -> Package {
    let definition = json!({
        "id": id, "name": name, "version": version, "system": "debian", "architectures": ["x64"],
        "detect": { "dpkg": id }, "install": ["apt-get", "install", "--yes", id],
        "uninstall": { "command": ["apt-get", "remove", "--yes", id] }, "exit_codes": {},
    });
    let Ok(package) = serde_json::from_value(definition) else { super::unreachable_sample() };
    package
}

/// A program with its wish, on two PCs.
///
/// # Errors
/// The database failed.
pub(super) async fn programs(
    inventory: &Inventory,
    by: By<'_>,
    room: RoomId,
    there: DeviceId,
    failed: DeviceId,
) -> Result<(EntryId, WishId)> {
    let geany = program("geany", "Geany <b>Editor</b>", "1.38-1");
    let entry = inventory.add_software(by, &geany).await?;
    let wish =
        inventory.wish_software(by, &geany.id, Audience::School, &Wish::Required { version: None }).await?;
    let pixel = program("pixel", "Pixel", "2");
    inventory.add_software(by, &pixel).await?;
    inventory.wish_software(by, &pixel.id, Audience::Room(room), &Wish::Absent).await?;
    let pc = |observed: Observed| PcSoftware {
        system: System::Debian,
        architecture: Architecture::X64,
        observed,
        signed_in: false,
        reported_at: by.at,
    };
    let version = |package: &Package| (package.id.clone(), Found::Version(package.version.clone()));
    inventory.keep_software(by, there, &pc([version(&geany), version(&pixel)].into()), &[]).await?;
    let report = json!({
        "package": "geany", "version": "1.38-1", "action": "install",
        "outcome": { "needs_person": { "failure": { "exit": { "code": 100, "cause": "disk_full" } },
                     "left": "nothing", "attempts": 3, "tail": "E: <b>kein Platz</b>" } },
    });
    let Ok(result) = serde_json::from_value::<StepResult>(report) else { super::unreachable_sample() };
    inventory.keep_software(by, failed, &pc(Observed::new()), &[result]).await?;
    Ok((entry, wish))
}
