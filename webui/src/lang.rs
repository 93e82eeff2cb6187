//! Which language a person reads.

use axum::http::{HeaderMap, header};
use inventory::config::Language;

use crate::session::cookie;

/// A language the pages exist in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lang {
    /// German.
    De,
    /// English.
    En,
}

impl Lang {
    pub(crate) const ALL: [Self; 2] = [Self::De, Self::En];

    /// The language of a request: what the person switched to, else what the browser asks for, else the school's.
    pub(crate) fn of(headers: &HeaderMap, school: Self) -> Self {
        let switched = cookie(headers, COOKIE).and_then(Self::from_code);
        let asked = || {
            let value = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
            Self::accepted(value)
        };
        switched.or_else(asked).unwrap_or(school)
    }

    /// The code in HTML and in the cookie.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::De => "de",
            Self::En => "en",
        }
    }

    /// What the language calls itself.
    pub(crate) fn own_name(self) -> &'static str {
        match self {
            Self::De => "Deutsch",
            Self::En => "English",
        }
    }

    pub(crate) fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lang| lang.code() == code)
    }

    /// The best of ours in an `Accept-Language` value (RFC 9110 section 12.5.4); `*` says nothing and is passed over.
    fn accepted(value: &str) -> Option<Self> {
        let mut best: Option<(f32, Self)> = None;
        for part in value.split(',').take(20) {
            let (range, parameters) = part.split_once(';').unwrap_or((part, ""));
            let primary = range.trim().split('-').next().unwrap_or_default().to_ascii_lowercase();
            let Some(lang) = Self::from_code(&primary) else { continue };
            let quality =
                parameters.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.trim().parse::<f32>().ok());
            let Some(quality) = quality.filter(|q| (0.001..=1.0).contains(q)) else { continue };
            if best.is_none_or(|(q, _)| quality > q) {
                best = Some((quality, lang));
            }
        }
        best.map(|(_, lang)| lang)
    }
}

impl From<Language> for Lang {
    fn from(language: Language) -> Self {
        match language {
            Language::De => Self::De,
            Language::En => Self::En,
        }
    }
}

/// Cookie that keeps the switched language.
pub(crate) const COOKIE: &str = "__Host-lang";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browsers_wish_decides_unless_the_person_switched() {
        let of = |accept: &str, cookie: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, accept.parse().unwrap());
            headers.insert(header::COOKIE, cookie.parse().unwrap());
            Lang::of(&headers, Lang::De)
        };
        for (accept, expected) in [
            ("", Lang::De),
            ("de-DE,de;q=0.9,en;q=0.8", Lang::De),
            ("en-GB, en;q=0.9, de;q=0.8", Lang::En),
            ("fr, de;q=0.3, en;q=0.5", Lang::En),
            ("fr", Lang::De),
            ("*", Lang::De),
            ("en;q=0, de;q=0.1", Lang::De),
            ("en;q=NaN", Lang::De),
            ("EN", Lang::En),
        ] {
            assert_eq!(of(accept, ""), expected, "{accept}");
        }
        assert_eq!(of("de", "a=b; __Host-lang=en"), Lang::En);
        assert_eq!(of("en", "__Host-lang=xx"), Lang::En);
    }
}
