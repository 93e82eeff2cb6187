//! The keys of a message, taken out one by one.
//!
//! Messages are read by key and not by `serde`, because an error then names the key and never quotes its value.

use plist::{Dictionary, Value};

/// A key that is missing or does not hold what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The key is not there.
    #[error("the key {key} is missing")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// The key is there, but its value is not what Apple describes.
    #[error("the key {key} does not hold {expected}")]
    Unfit {
        /// The key.
        key: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
}

/// The entries of a dictionary that were not taken yet.
pub(crate) struct Fields(Dictionary);

impl Fields {
    pub(crate) fn new(value: Value) -> Option<Self> {
        value.into_dictionary().map(Self)
    }

    /// A text of at most [`MAX_TEXT`] bytes. An empty one counts as absent, since that is how devices write "none".
    pub(crate) fn text(&mut self, key: &'static str) -> Result<Option<String>, FieldError> {
        match self.0.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) if text.len() <= MAX_TEXT => Ok(Some(text)),
            Some(_) => Err(FieldError::Unfit { key, expected: "a text of at most 1024 bytes" }),
        }
    }

    /// The beginning of a text that people may read, however long it is.
    pub(crate) fn beginning(&mut self, key: &str) -> Option<String> {
        let mut text = self.0.remove(key)?.into_string()?;
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        Some(text)
    }

    /// Bytes, at most `limit`. None at all counts as absent.
    pub(crate) fn data(&mut self, key: &'static str, limit: usize) -> Result<Option<Vec<u8>>, FieldError> {
        match self.0.remove(key) {
            None => Ok(None),
            Some(Value::Data(bytes)) if bytes.is_empty() => Ok(None),
            Some(Value::Data(bytes)) if bytes.len() <= limit => Ok(Some(bytes)),
            Some(_) => Err(FieldError::Unfit { key, expected: "bytes of a sensible length" }),
        }
    }

    pub(crate) fn boolean(&mut self, key: &'static str) -> Result<Option<bool>, FieldError> {
        match self.0.remove(key) {
            None => Ok(None),
            Some(Value::Boolean(value)) => Ok(Some(value)),
            Some(_) => Err(FieldError::Unfit { key, expected: "true or false" }),
        }
    }

    pub(crate) fn integer(&mut self, key: &'static str) -> Result<Option<i64>, FieldError> {
        match self.0.remove(key) {
            None => Ok(None),
            Some(value) => {
                let expected = "an integer of 64 bits";
                value.as_signed_integer().map(Some).ok_or(FieldError::Unfit { key, expected })
            }
        }
    }

    pub(crate) fn fields(&mut self, key: &'static str) -> Result<Option<Self>, FieldError> {
        match self.0.remove(key) {
            None => Ok(None),
            Some(value) => {
                Self::new(value).map(Some).ok_or(FieldError::Unfit { key, expected: "a dictionary" })
            }
        }
    }

    pub(crate) fn array(&mut self, key: &'static str) -> Result<Option<Vec<Value>>, FieldError> {
        match self.0.remove(key) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(FieldError::Unfit { key, expected: "an array" }),
        }
    }

    /// What nobody asked for.
    pub(crate) fn rest(self) -> Dictionary {
        self.0
    }
}

/// Says that a key has to be there.
pub(crate) trait Required<T> {
    fn required(self, key: &'static str) -> Result<T, FieldError>;
}

impl<T> Required<T> for Option<T> {
    fn required(self, key: &'static str) -> Result<T, FieldError> {
        self.ok_or(FieldError::Missing { key })
    }
}

const MAX_TEXT: usize = 1024;
