//! Where PCs differ from what they should be, at this moment; the same for page and API.

use std::collections::BTreeMap;

use inventory::{Device, DeviceId, EntryId, Hostname, Image};
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::App;
use crate::failure::Answer;
use crate::software::{self, OnPc, Stand};

/// A PC that is not as it should be.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Drift {
    pub(crate) device: DeviceId,
    pub(crate) name: Hostname,
    pub(crate) room: String,
    /// Set if its disk does not hold the newest version of its image.
    pub(crate) image: Option<ImageDrift>,
    pub(crate) programs: Vec<ProgramDrift>,
}

/// How its disk differs from its image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub(crate) struct ImageDrift {
    /// Name of the image.
    pub(crate) image: String,
    /// Its newest version.
    pub(crate) wanted: i64,
    /// The version of it that the disk holds, if it holds one.
    pub(crate) held: Option<i64>,
}

/// A program that is not there, too old, or there and should not be.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ProgramDrift {
    /// Its newest entry in the catalogue.
    pub(crate) program: EntryId,
    pub(crate) name: String,
    /// Whether it will not be mended without a person.
    pub(crate) needs_person: bool,
    #[serde(skip)]
    pub(crate) pc: OnPc,
}

/// All PCs that differ, by room and name.
pub(crate) async fn list(app: &App) -> Answer<Vec<Drift>> {
    let images = app.inventory.images().await?;
    let mut programs: BTreeMap<DeviceId, Vec<ProgramDrift>> = BTreeMap::new();
    for program in software::survey(app, None).await?.programs {
        let Some(newest) = program.newest() else { continue };
        let (id, name) = (newest.id, newest.package.name.to_string());
        for pc in program.pcs.into_iter().filter(|pc| pc.stand != Stand::Good) {
            let needs_person = matches!(pc.stand, Stand::InTheWay(_));
            let drift = ProgramDrift { program: id, name: name.clone(), needs_person, pc };
            programs.entry(drift.pc.device).or_default().push(drift);
        }
    }
    let drift = app.inventory.devices().await?.0.into_iter().map(|device| Drift {
        image: of_image(&device, &images),
        programs: programs.remove(&device.id).unwrap_or_default(),
        device: device.id,
        name: device.name,
        room: device.room.name,
    });
    let mut drift: Vec<Drift> =
        drift.filter(|drift| drift.image.is_some() || !drift.programs.is_empty()).collect();
    drift.sort_by(|a, b| (&a.room, &a.name).cmp(&(&b.room, &b.name)));
    Ok(drift)
}

/// How a device's disk differs from its image; `None` if it does not, or needs none.
pub(crate) fn of_image(device: &Device, images: &[Image]) -> Option<ImageDrift> {
    let image = device.desired_image.and_then(|id| images.iter().find(|image| image.id == id))?;
    let newest = image.versions.first()?;
    let on_disk = device.observed.manifest.as_deref();
    let held = image.versions.iter().find(|version| Some(version.manifest.as_str()) == on_disk);
    let held = held.map(|version| version.version);
    let drift = ImageDrift { image: image.name.clone(), wanted: newest.version, held };
    // A device that nobody approved yet has nothing to differ.
    (device.key.is_some() && held != Some(newest.version)).then_some(drift)
}
