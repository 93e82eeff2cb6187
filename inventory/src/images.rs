//! Images and their versions. The chunks lie in `deployd`'s store; here is what they are called.

use serde::Serialize;
use uuid::Uuid;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::types::title;
use crate::{Answer, By, Error, ImageId, Inventory, UnixMillis, VersionId};

/// An image in all its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// What people call it; unique.
    pub name: String,
    /// Its versions, newest first; none while the first capture runs.
    pub versions: Vec<ImageVersion>,
}

/// One version of an image. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct ImageVersion {
    /// Its id.
    pub id: VersionId,
    /// Counted from 1.
    pub version: i64,
    /// Manifest id in the store.
    pub manifest: String,
    /// Bytes in use on the captured disk.
    pub bytes: u64,
    /// When it was made.
    pub created_at: UnixMillis,
}

impl Inventory {
    /// All images by name.
    ///
    /// # Errors
    /// The database failed.
    pub fn images(&self) -> Answer<'_, Vec<Image>> {
        Box::pin(async move {
            type VersionRow = (Uuid, Uuid, i64, String, i64, i64);
            let (images, versions): (Vec<(Uuid, String)>, Vec<VersionRow>) = on_pool!(self, pool => {
                let images = sqlx::query_as("SELECT id, name FROM images ORDER BY name").fetch_all(pool).await
                    .map_err(Error::db("list images"))?;
                let versions = sqlx::query_as(
                    "SELECT id, image_id, version, manifest, bytes, created_at FROM image_versions ORDER BY version DESC")
                    .fetch_all(pool).await.map_err(Error::db("list image versions"))?;
                (images, versions)
            });
            let versions_of = |image: Uuid| {
                versions
                    .iter()
                    .filter(|row| row.1 == image)
                    .map(|(id, _, version, manifest, bytes, created_at)| ImageVersion {
                        id: VersionId(*id),
                        version: *version,
                        manifest: manifest.clone(),
                        bytes: u64::try_from(*bytes).unwrap_or(0),
                        created_at: UnixMillis(*created_at),
                    })
                    .collect()
            };
            Ok(images
                .into_iter()
                .map(|(id, name)| Image { id: ImageId(id), name, versions: versions_of(id) })
                .collect())
        })
    }

    /// One image.
    ///
    /// # Errors
    /// The database failed.
    pub fn image(&self, id: ImageId) -> Answer<'_, Option<Image>> {
        Box::pin(async move { Ok(self.images().await?.into_iter().find(|image| image.id == id)) })
    }

    /// The image of that name, added if there is none.
    ///
    /// # Errors
    /// The name is unusable, or the database failed.
    pub fn ensure_image<'a>(&'a self, by: By<'a>, name: &'a str) -> Answer<'a, ImageId> {
        Box::pin(async move {
            let name = title(name, || {
                Error::Conflict("an image's name must have 1 to 60 printable characters".into())
            })?;
            let id: Uuid = in_transaction!(self, "add an image", tx => {
                let id = ImageId::random();
                let added = sqlx::query("INSERT INTO images (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING")
                    .bind(id.0).bind(name.clone()).bind(by.at.0)
                    .execute(&mut *tx).await.map_err(Error::db("add an image"))?;
                if added.rows_affected() == 1 {
                    record!(tx, by, "image", id, "created")?;
                }
                sqlx::query_scalar("SELECT id FROM images WHERE name = $1").bind(name.clone())
                    .fetch_one(&mut *tx).await.map_err(Error::db("find an image"))
            })?;
            Ok(ImageId(id))
        })
    }

    /// Adds a version whose manifest and chunks lie complete in the store. The same manifest again is the same version.
    ///
    /// # Errors
    /// There is no such image, or the database failed.
    pub fn add_version<'a>(
        &'a self,
        by: By<'a>,
        image: ImageId,
        manifest: &'a str,
        bytes: u64,
    ) -> Answer<'a, i64> {
        Box::pin(async move {
            let manifest = manifest.to_owned();
            in_transaction!(self, "add an image version", tx => {
                let known: Option<i64> = sqlx::query_scalar(
                    "SELECT version FROM image_versions WHERE image_id = $1 AND manifest = $2")
                    .bind(image.0).bind(manifest.clone())
                    .fetch_optional(&mut *tx).await.map_err(Error::db("look for an image version"))?;
                if let Some(version) = known {
                    return Ok(version);
                }
                let version: i64 = sqlx::query_scalar(
                    "SELECT COALESCE(MAX(version), 0) + 1 FROM image_versions WHERE image_id = $1").bind(image.0)
                    .fetch_one(&mut *tx).await.map_err(Error::db("count image versions"))?;
                sqlx::query(
                    "INSERT INTO image_versions (id, image_id, version, manifest, bytes, created_at) VALUES ($1, $2, $3, $4, $5, $6)")
                    .bind(VersionId::random().0).bind(image.0).bind(version).bind(manifest.clone())
                    .bind(i64::try_from(bytes).unwrap_or(i64::MAX)).bind(by.at.0)
                    .execute(&mut *tx).await
                    .map_err(Error::unique("add an image version", || "another version was added at the same moment; try again".into()))?;
                record!(tx, by, "image", image, "version added")?;
                Ok(version)
            })
        })
    }

    /// Removes an image with its versions and jobs. The chunks go with the store's next collection.
    ///
    /// # Errors
    /// A job with this image is open, there is no such image, or the database failed.
    pub fn delete_image<'a>(&'a self, by: By<'a>, id: ImageId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "delete an image", tx => {
                let open: i64 = sqlx::query_scalar(
                    "SELECT COUNT(*) FROM jobs WHERE image_id = $1 AND state IN ('queued', 'running')").bind(id.0)
                    .fetch_one(&mut *tx).await.map_err(Error::db("look for open jobs"))?;
                if open > 0 {
                    return Err(Error::Conflict("a job with this image is open; wait for its end or cancel it".into()));
                }
                let done = sqlx::query("DELETE FROM images WHERE id = $1").bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::db("delete an image"))?;
                Error::unless_found(done.rows_affected(), "image", id)?;
                record!(tx, by, "image", id, "deleted")?;
                Ok(())
            })
        })
    }
}
