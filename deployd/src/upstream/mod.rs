//! Images from somewhere else: a place where one server publishes, and from which others fetch what they lack.
//!
//! | Module    | What it does                                                          |
//! |-----------|-----------------------------------------------------------------------|
//! | `config`  | the section `[deployd.upstream]`                                      |
//! | `place`   | folder, web server or S3, by its address                              |
//! | `http`    | connections of the latter two                                         |
//! | `pace`    | when and how fast (pure)                                              |
//! | `fetch`   | follows what is published                                             |
//! | [`publish`] | writes it there                                                     |
//!
//! What lies there, and why the place need not be trusted, says [`images::published`].

mod config;
mod fetch;
mod http;
mod pace;
mod place;
pub mod publish;

use std::error::Error;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, GetResult, ObjectStore, ObjectStoreExt as _, PutPayload};

pub use config::{PublisherKey, Rate, Upstream};
pub(crate) use fetch::{Fetcher, NOTICE};
pub use place::{Place, PlaceError};

/// An open [`Place`].
struct Remote {
    store: Arc<dyn ObjectStore>,
}

/// Why a file at a place cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// Nobody answers, or not with what was asked for.
    #[error("{file}: {problem}")]
    Unreachable {
        /// Which file.
        file: String,
        /// What went wrong.
        problem: String,
    },
    /// The credentials are wrong or do not suffice.
    #[error("{file}: access is refused")]
    Denied {
        /// Which file.
        file: String,
    },
    /// A file is larger than any of its kind.
    #[error("{file} has more than {bytes_max} bytes")]
    TooLarge {
        /// Which file.
        file: String,
        /// The most that it may have.
        bytes_max: usize,
    },
}

impl Remote {
    /// A whole file. `None` if there is none.
    async fn read(&self, file: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, RemoteError> {
        let Some(found) = self.get(file, None).await? else { return Ok(None) };
        let mut parts = Body::new(file, found);
        let mut whole = Vec::new();
        while let Some(part) = parts.next().await? {
            if whole.len() + part.len() > bytes_max {
                return Err(RemoteError::TooLarge { file: file.to_owned(), bytes_max });
            }
            whole.extend_from_slice(&part);
        }
        Ok(Some(whole))
    }

    /// A part of a file. `None` if there is no such file.
    async fn read_range(&self, file: &str, range: Range<u64>) -> Result<Option<Body>, RemoteError> {
        Ok(self.get(file, Some(range)).await?.map(|found| Body::new(file, found)))
    }

    async fn get(&self, file: &str, range: Option<Range<u64>>) -> Result<Option<GetResult>, RemoteError> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let key = Key::from(file);
        match in_time(file, self.store.get_opts(&key, options)).await? {
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(refused(file, &error)),
        }
    }

    /// The length of a file, if it is there.
    async fn len(&self, file: &str) -> Result<Option<u64>, RemoteError> {
        match in_time(file, self.store.head(&Key::from(file))).await? {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(refused(file, &error)),
        }
    }

    /// Writes a file, all or nothing. A line that does not move is given up by TCP; one that is slow takes as long as it takes.
    async fn write(&self, file: &str, content: Vec<u8>) -> Result<(), RemoteError> {
        let written = self.store.put(&Key::from(file), PutPayload::from(content)).await;
        written.map(drop).map_err(|error| refused(file, &error))
    }

    /// Removes a file; that it is not there is fine.
    async fn remove(&self, file: &str) -> Result<(), RemoteError> {
        match in_time(file, self.store.delete(&Key::from(file))).await? {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(refused(file, &error)),
        }
    }
}

/// The bytes of a file or a part of it as they come.
struct Body {
    file: String,
    parts: futures_util::stream::BoxStream<'static, object_store::Result<Bytes>>,
}

impl Body {
    fn new(file: &str, found: GetResult) -> Self {
        Self { file: file.to_owned(), parts: found.into_stream() }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, RemoteError> {
        let part = in_time(&self.file, self.parts.next()).await?;
        part.transpose().map_err(|error| refused(&self.file, &error))
    }
}

async fn in_time<T>(file: &str, work: impl Future<Output = T>) -> Result<T, RemoteError> {
    tokio::time::timeout(SILENCE_MAX, work).await.map_err(|_| RemoteError::Unreachable {
        file: file.to_owned(),
        problem: format!("no answer within {} seconds", SILENCE_MAX.as_secs()),
    })
}

fn refused(file: &str, error: &object_store::Error) -> RemoteError {
    match error {
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            RemoteError::Denied { file: file.to_owned() }
        }
        other => RemoteError::Unreachable { file: file.to_owned(), problem: root_cause(other) },
    }
}

/// What is at the bottom of an error. What is above tells how often and how long it was tried, and is new each time.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    let text: String = cause.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.chars().take(CAUSE_CHARS_MAX).collect()
}

const SILENCE_MAX: Duration = Duration::from_secs(90);
const CAUSE_CHARS_MAX: usize = 300;
