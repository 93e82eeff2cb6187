//! Images and their versions.

use askama::Template;
use axum::extract::State;
use inventory::{Device, Image, ImageId, clock};

use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::fields::Id;
use crate::format;
use crate::lang::Lang;
use crate::page::{Here, Page, Visit};
use crate::pages::{Confirm, Me};
use crate::texts::Texts;
use crate::views::When;

#[derive(Template)]
#[template(path = "images.html")]
pub(crate) struct Images {
    pub(crate) p: Page,
    pub(crate) images: Vec<ImageView>,
}

/// An image.
pub(crate) struct ImageView {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Devices that should have it.
    pub(crate) devices: usize,
    pub(crate) versions: Vec<VersionView>,
}

/// A version.
pub(crate) struct VersionView {
    pub(crate) version: i64,
    pub(crate) size: String,
    pub(crate) created: When,
    pub(crate) manifest: String,
    /// The manifest id's first digits.
    pub(crate) short: String,
}

/// `GET /images`
pub(crate) async fn show(State(app): State<App>, visit: Visit) -> Answer {
    let (devices, _) = app.inventory.devices().await?;
    let images = app.inventory.images().await?;
    visit.show(&Images {
        p: visit.page(Here::Images),
        images: images.iter().map(|image| view(visit.lang, image, &devices)).collect(),
    })
}

/// `GET /images/{id}/delete`
pub(crate) async fn confirm_delete(State(app): State<App>, visit: Visit, Id(id): Id<ImageId>) -> Answer {
    let image = app.inventory.image(id).await?.ok_or(Failure::Gone)?;
    let (devices, _) = app.inventory.devices().await?;
    let t = Texts::of(visit.lang);
    visit.show(&Confirm {
        p: visit.page(Here::Images),
        title: t.delete_title(&image.name),
        consequence: t.image_delete_consequence(image.versions.len(), used_by(&image, &devices)),
        action: format!("/images/{id}/delete"),
        back: "/images".into(),
    })
}

/// `POST /images/{id}/delete`
pub(crate) async fn delete(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    Id(id): Id<ImageId>,
) -> Answer {
    let image = app.inventory.image(id).await?.ok_or(Failure::Gone)?;
    let done = app.inventory.delete_image(me.by(), id).await;
    let said = |()| Texts::of(visit.lang).said_deleted(&image.name);
    visit.go_done("/images", done.map(said).map_err(Failure::from))
}

fn used_by(image: &Image, devices: &[Device]) -> usize {
    devices.iter().filter(|device| device.desired_image == Some(image.id)).count()
}

fn view(lang: Lang, image: &Image, devices: &[Device]) -> ImageView {
    let now = clock::now();
    let versions = image.versions.iter().map(|version| VersionView {
        version: version.version,
        size: format::bytes(lang, version.bytes),
        created: When::new(lang, now, version.created_at),
        manifest: version.manifest.clone(),
        short: version.manifest.chars().take(12).collect(),
    });
    ImageView {
        id: image.id.to_string(),
        name: image.name.clone(),
        devices: used_by(image, devices),
        versions: versions.collect(),
    }
}
