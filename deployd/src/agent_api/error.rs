//! What an agent is told when something does not work, sorted by who can do something about it.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use images::protocol::ErrorBody;

/// An agent's request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The key belongs to no device.
    #[error("this PC is not approved")]
    UnknownKey,
    /// There is no such job for this device. Says the same whether it belongs to another device or to none.
    #[error("there is no such job for this PC")]
    NoSuchJob,
    /// The job is not running.
    #[error("the job is not running: {0}")]
    NotRunning(String),
    /// The job is of the other kind.
    #[error("this job does not {0}")]
    WrongTask(&'static str),
    /// The request makes no sense.
    #[error("the request cannot be understood: {0}")]
    Malformed(String),
    /// A chunk that is not part of this job's image.
    #[error("this chunk is not part of the job's image")]
    ForeignChunk,
    /// There is no such file, or the PC is not to have it. Says the same in both cases.
    #[error("there is no such file for this PC")]
    NoSuchFile,
    /// The body is larger than allowed, in bytes.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The body did not come in time.
    #[error("the body did not come in time")]
    TooSlow,
    /// Too many requests.
    #[error("too many requests from this address")]
    TooMany(Duration),
    /// No further PC can be noted; the text is for people.
    #[error("{0}")]
    ListFull(String),
    /// The inventory refuses; the text is for people.
    #[error("{0}")]
    Conflict(String),
    /// Chunks of the manifest are not in the store.
    #[error("{0} chunks of the manifest were not uploaded")]
    Incomplete(usize),
    /// The stored image is damaged; the job has failed. The text names the image.
    #[error("{0}")]
    Damaged(String),
    /// No space in the image store.
    #[error("the disk of the image store is full")]
    NoSpace,
    /// The database did not answer.
    #[error("the database is busy")]
    Busy(#[source] inventory::Error),
    /// The daemon is about to stop.
    #[error("the server is restarting")]
    Stopping,
    /// A fault of ours.
    #[error("the server failed: {0}")]
    Internal(String),
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::UnknownKey => StatusCode::UNAUTHORIZED,
            Self::NoSuchJob | Self::NoSuchFile => StatusCode::NOT_FOUND,
            Self::NotRunning(_) => StatusCode::GONE,
            Self::WrongTask(_) | Self::ForeignChunk => StatusCode::FORBIDDEN,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Conflict(_) | Self::Incomplete(_) => StatusCode::CONFLICT,
            Self::Damaged(_) => StatusCode::BAD_GATEWAY,
            Self::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
            Self::Busy(_) | Self::Stopping | Self::ListFull(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn remedy(&self) -> &'static str {
        match self {
            Self::UnknownKey => "approve it on the waiting list",
            Self::NoSuchJob | Self::NotRunning(_) => {
                "ask for work again; start the job anew on the server if it is still wanted"
            }
            Self::WrongTask(_) | Self::Malformed(_) | Self::ForeignChunk | Self::TooLarge(_) => {
                "restart this PC from the network, so that it runs the boot environment that belongs to the server"
            }
            Self::NoSuchFile => {
                "ask again what there is to do; if it stays so, add the file to the package again"
            }
            Self::TooSlow => "check the network between this PC and the server",
            Self::TooMany(_) | Self::Stopping => "wait and ask again",
            Self::Conflict(_) => "look at the device and its jobs on the server",
            Self::ListFull(_) => "look at the waiting list on the server",
            Self::Incomplete(_) => "upload them and publish again",
            Self::Damaged(_) => "capture or import the image again, or deploy an older version",
            Self::NoSpace => "free space on the disk of the server's data folder, and start the job anew",
            Self::Busy(_) => "wait and ask again; if it stays so, look at the server's log",
            Self::Internal(_) => "look at the server's log",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooMany(wait) => Some(*wait),
            Self::Busy(_) | Self::Stopping => Some(Duration::from_secs(2)),
            Self::ListFull(_) => Some(Duration::from_secs(30)),
            _ => None,
        }
    }

    /// The text and what to do about it, for the inventory.
    pub(crate) fn for_people(&self) -> String {
        format!("{self}; {}", self.remedy())
    }
}

impl From<inventory::Error> for ApiError {
    fn from(error: inventory::Error) -> Self {
        match error {
            inventory::Error::Database { .. } => Self::Busy(error),
            inventory::Error::Conflict(text) => Self::Conflict(text),
            inventory::Error::NotFound { .. } => Self::Conflict(error.to_string()),
            inventory::Error::Row { .. } | inventory::Error::Unusable(_) => Self::Internal(error.to_string()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        // The one place where these are logged. The span names device and job.
        let error = &self as &dyn std::error::Error;
        if status.is_server_error() {
            tracing::warn!(error, status = status.as_u16(), "an agent's request failed");
        } else {
            tracing::debug!(error, status = status.as_u16(), "an agent's request was refused");
        }
        let body = ErrorBody { error: self.to_string(), remedy: self.remedy().to_owned() };
        let mut response = (status, Json(body)).into_response();
        if let Some(wait) = self.retry_after() {
            let secs = wait.as_millis().div_ceil(1000).max(1);
            if let Ok(value) = HeaderValue::try_from(secs.to_string()) {
                response.headers_mut().insert(RETRY_AFTER, value);
            }
        }
        response
    }
}
