//! Reading what a request brings: form fields, query, JSON bodies and ids in the path. Nothing here panics or trusts.

use std::str::FromStr;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::{Form, Json};
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// Fields of a form (or of a query), as sent. The first of a name counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The value without spaces around it; empty when absent.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.trim())
    }

    /// All values of that name.
    pub(crate) fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.trim())
    }

    /// The value exactly as typed: spaces may belong to a password.
    pub(crate) fn verbatim(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    }

    /// All of them.
    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }

    /// The value, unless it is empty.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Fields {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        match Form::<Vec<(String, String)>>::from_request(request, state).await {
            Ok(Form(fields)) if fields.len() <= FIELDS_MAX => Ok(Self(fields)),
            Ok(_) => Err(Failure::Malformed(String::new())),
            Err(rejection) => Err(Failure::Malformed(rejection.body_text())),
        }
    }
}

/// Fields of the query.
pub(crate) struct Asked(pub(crate) Fields);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        // A query that cannot be read asks for nothing.
        let fields = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        Ok(Self(Fields(fields.map(|Query(fields)| fields).unwrap_or_default())))
    }
}

/// The path's one parameter; something that is no id is a page that does not exist.
pub(crate) struct Id<T>(pub(crate) T);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Path(text) =
            Path::<String>::from_request_parts(parts, state).await.map_err(|_| Failure::NoPage)?;
        text.parse().map(Self).map_err(|_| Failure::NoPage)
    }
}

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(Failure::Malformed(rejection.body_text())),
        }
    }
}

/// A rule for iPads has a field for each of Apple's restrictions.
const FIELDS_MAX: usize = 250;

#[cfg(test)]
mod tests {
    use axum::body::Body as Bytes;
    use proptest::prelude::*;

    use super::*;

    fn form(body: Vec<u8>) -> Result<Fields, Failure> {
        let request = Request::post("/")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(body))
            .unwrap();
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(Fields::from_request(request, &()))
    }

    #[test]
    fn a_form_is_read_as_the_browser_sends_it() {
        let fields = form(b"name=+r204%2Dpc01+&password=+a%26b+&name=second&empty=".to_vec()).unwrap();
        assert_eq!(fields.text("name"), "r204-pc01");
        assert_eq!(fields.verbatim("password"), " a&b ");
        assert_eq!(fields.given("empty"), None);
        assert_eq!(fields.text("absent"), "");
        assert!(form("a=1&".repeat(300).into_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_form_body_makes_us_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(fields) = form(body) {
                let _ = fields.text("name");
            }
        }
    }
}
