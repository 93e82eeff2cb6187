//! Values with a range of their own, and lists of Apple's words.

/// A number that Apple does not allow at this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{value} is not allowed for {what}")]
pub struct OutOfRange {
    /// Which value it should have become.
    pub what: &'static str,
    /// The number.
    pub value: u32,
}

/// A number inside of a range.
macro_rules! bounded {
    ($($(#[$doc:meta])* $name:ident: $($range:pat_param)|+,)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "u32", into = "u32")]
        pub struct $name(u32);

        impl TryFrom<u32> for $name {
            type Error = $crate::command::OutOfRange;

            fn try_from(value: u32) -> Result<Self, Self::Error> {
                match value {
                    $($range)|+ => Ok(Self(value)),
                    _ => Err($crate::command::OutOfRange { what: stringify!($name), value }),
                }
            }
        }

        impl From<$name> for u32 {
            fn from(value: $name) -> u32 {
                value.0
            }
        }
    )+};
}

/// Words that travel as numbers.
macro_rules! numbered {
    ($($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident = $number:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "u32", into = "u32")]
        pub enum $name {
            $($(#[$word_doc])* $word = $number,)+
        }

        impl TryFrom<u32> for $name {
            type Error = $crate::command::OutOfRange;

            fn try_from(value: u32) -> Result<Self, Self::Error> {
                match value {
                    $($number => Ok(Self::$word),)+
                    _ => Err($crate::command::OutOfRange { what: stringify!($name), value }),
                }
            }
        }

        impl From<$name> for u32 {
            fn from(value: $name) -> u32 {
                value as u32
            }
        }
    )+};
}

/// Words that travel as they are.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($word:ident $(= $apple:literal)?,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[expect(missing_docs, reason = "the words are Apple's and stand in Apple's documentation")]
        pub enum $name {
            $($(#[serde(rename = $apple)])? $word,)+
        }

        impl $name {
            /// All words that there are.
            pub const ALL: &[Self] = &[$(Self::$word),+];
        }
    };
}

/// A key that is written only when it says yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Yes;

impl serde::Serialize for Yes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(true)
    }
}

impl<'de> serde::Deserialize<'de> for Yes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match bool::deserialize(deserializer)? {
            true => Ok(Self),
            false => Err(serde::de::Error::custom("only true has a meaning here")),
        }
    }
}

pub(super) use {bounded, numbered, words};
