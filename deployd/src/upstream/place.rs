//! Where published images lie: a folder, a web server, or an object store.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::http::HttpBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, RetryConfig};
use serde::Deserialize;

use super::http::Connections;

/// The address of published images.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Place {
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Folder(PathBuf),
    Web,
    S3 { bucket: String, prefix: String },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().trim_end_matches('/').to_owned();
        let usable = |c: char| c.is_ascii_graphic();
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let kind = match scheme {
            "file" if rest.starts_with('/') => Kind::Folder(rest.into()),
            "https" | "s3" if text.contains(['?', '#']) || !text.chars().all(usable) => {
                return Err(format!("{text:?} is no address of published images"));
            }
            "https" | "s3" if rest.contains('@') => {
                return Err("credentials do not belong into the address but into a file".into());
            }
            "https" if !rest.is_empty() => Kind::Web,
            "s3" => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err("the bucket is missing: s3://bucket/prefix".into());
                }
                Kind::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() }
            }
            _ => return Err(format!("{text:?} is none of https://…, s3://bucket/prefix and file:///folder")),
        };
        Ok(Self { text, kind })
    }
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Access to S3, as it stands in the file that `credentials` names (TOML).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct S3Access {
    access_key_id: String,
    secret_access_key: String,
    /// `https://host:port`; Amazon's own when absent.
    endpoint: Option<String>,
    /// What Amazon asks for; most others take any.
    #[serde(default = "any_region")]
    region: String,
}

fn any_region() -> String {
    "us-east-1".into()
}

/// Why a place cannot be opened. Nothing of the credentials is in it.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// A file that the configuration names cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The credentials are missing, or not what they should be.
    #[error("a file with access_key_id and secret_access_key, and perhaps endpoint and region, is needed")]
    Credentials,
    /// The file with certificates cannot be used.
    #[error("the certificates of {} cannot be used: {problem}", path.display())]
    Authorities {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The address cannot be used.
    #[error("the address of the published images cannot be used: {0}")]
    Address(String),
}

impl Place {
    /// Whether files can be written there.
    pub(super) fn is_writable(&self) -> bool {
        !matches!(self.kind, Kind::Web)
    }

    /// Makes the folder, if it is one.
    pub(super) fn create(&self) -> Result<(), PlaceError> {
        let Kind::Folder(path) = &self.kind else { return Ok(()) };
        std::fs::create_dir_all(path).map_err(|source| PlaceError::File { path: path.clone(), source })
    }

    /// Opens it, without asking it anything.
    pub(super) fn open(
        &self,
        credentials: Option<&Path>,
        ca: Option<&Path>,
    ) -> Result<Arc<dyn ObjectStore>, PlaceError> {
        let address = |error: object_store::Error| PlaceError::Address(error.to_string());
        match &self.kind {
            Kind::Folder(path) => {
                // A catalogue must not survive a power cut without the packs that it names.
                Ok(Arc::new(LocalFileSystem::new_with_prefix(path).map_err(address)?.with_fsync(true)))
            }
            Kind::Web => {
                let web = HttpBuilder::new().with_url(&self.text).with_retry(RETRY);
                Ok(Arc::new(web.with_http_connector(connections(ca)?).build().map_err(address)?))
            }
            Kind::S3 { bucket, prefix } => {
                let access = s3_access(credentials)?;
                let mut s3 = AmazonS3Builder::new()
                    .with_bucket_name(bucket)
                    .with_access_key_id(access.access_key_id)
                    .with_secret_access_key(access.secret_access_key)
                    .with_region(access.region)
                    .with_retry(RETRY)
                    // Not every store that speaks S3 knows how to remove many objects at once.
                    .with_disable_bulk_delete(true)
                    .with_http_connector(connections(ca)?);
                if let Some(endpoint) = access.endpoint {
                    s3 = s3.with_endpoint(endpoint);
                }
                let prefix = Key::parse(prefix).map_err(|error| PlaceError::Address(error.to_string()))?;
                Ok(Arc::new(PrefixStore::new(s3.build().map_err(address)?, prefix)))
            }
        }
    }
}

fn s3_access(credentials: Option<&Path>) -> Result<S3Access, PlaceError> {
    let path = credentials.ok_or(PlaceError::Credentials)?;
    // The parser's own message would show the line, and the secret with it.
    toml::from_str(&read(path)?).map_err(|_| PlaceError::Credentials)
}

fn connections(ca: Option<&Path>) -> Result<Connections, PlaceError> {
    let pem = ca.map(read).transpose()?;
    Connections::new(pem.as_deref().map(str::as_bytes)).map_err(|error| PlaceError::Authorities {
        path: ca.unwrap_or_else(|| Path::new("")).to_owned(),
        problem: error.to_string(),
    })
}

fn read(path: &Path) -> Result<String, PlaceError> {
    std::fs::read_to_string(path).map_err(|source| PlaceError::File { path: path.to_owned(), source })
}

/// A hiccup is smoothed over; the rest is for the next round.
const RETRY: RetryConfig = RetryConfig {
    backoff: object_store::BackoffConfig {
        init_backoff: Duration::from_millis(200),
        max_backoff: Duration::from_secs(5),
        base: 2.,
    },
    max_retries: 3,
    retry_timeout: Duration::from_secs(60),
};
