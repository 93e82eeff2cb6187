//! API tokens: what they look like, what they may do, and whom a request with one speaks for.
//!
//! A token is shown once, when it is made; what is stored is its hash. It can do what its scopes say and nothing else, never opens a
//! page, and is void outside of its address ranges and after its day.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, Method, header};
use inventory::{NewToken, Role, Token, TokenId, UnixMillis, User, UserId, clock};
use ipnet::IpNet;
use rand::distr::{Alphanumeric, SampleString as _};

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::problem::Problem;
use crate::rights::Right;
use crate::session;

/// Whether a request shows a token, good or bad. No browser does so by itself, so nobody's sign-in is used without their knowing.
pub(crate) fn is_shown(headers: &HeaderMap) -> bool {
    shown(headers).is_some()
}

fn shown(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Whom a request with a token speaks for.
pub(crate) async fn admit(app: &App, headers: &HeaderMap, address: IpAddr) -> Answer<SignedIn> {
    let now = clock::now();
    let found = match shown(headers).filter(|token| is_well_formed(token)) {
        Some(token) => app.inventory.token_by_hash(&session::token_hash(token), now).await?,
        None => None,
    };
    let Some(token) = found.filter(|token| is_from(&token.networks, address)) else {
        // Only those that are refused are counted: a good token is never held up by somebody else behind the same address.
        return Err(app.bad_token(address).map_or(Failure::BadToken, Failure::Wait));
    };
    app.inventory.note_token_use(&token, now).await?;
    Ok(speaker(&token))
}

/// A token speaks for the school, not for a person: within its scopes it is answered as an admin is.
fn speaker(token: &Token) -> SignedIn {
    let user = User {
        id: UserId(uuid::Uuid::nil()),
        // No person's name has a space.
        name: format!("token {}", token.name),
        first_name: String::new(),
        last_name: String::new(),
        external_id: None,
        deactivated_at: None,
        password_hash: String::new(),
        role: Role::SchoolAdmin,
        password_temporary: false,
        second_factor: true,
    };
    let scopes = token.scopes.iter().filter_map(|text| Scope::parse(text)).collect();
    SignedIn {
        user: Arc::new(user),
        session: "".into(),
        authenticated_at: UnixMillis(0),
        scopes: Some(scopes),
    }
}

/// What a token may do: to read what a right opens, or to change it as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scope {
    right: Right,
    write: bool,
}

impl Scope {
    /// `devices:read`, `devices:write`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (right, reach) = text.split_once(':')?;
        let right = Right::GRANTABLE.into_iter().find(|known| known.text() == right)?;
        match reach {
            "read" => Some(Self { right, write: false }),
            "write" => Some(Self { right, write: true }),
            _ => None,
        }
    }

    /// Whether it opens a route.
    pub(crate) fn opens(self, right: Right, method: &Method) -> bool {
        self.right == right && (self.write || *method == Method::GET)
    }
}

/// A token as a person or a program wishes it.
#[derive(Debug, Default)]
pub(crate) struct TokenWish<'a> {
    pub(crate) name: &'a str,
    pub(crate) scopes: Vec<String>,
    pub(crate) networks: Vec<&'a str>,
    pub(crate) expires_at: Option<UnixMillis>,
}

/// Makes a token; returns its id and the token itself, which nobody can see again.
pub(crate) async fn make(app: &App, me: &SignedIn, wish: &TokenWish<'_>) -> Answer<(TokenId, String)> {
    let by = me.by();
    let mut problems = Vec::new();
    if wish.scopes.is_empty() {
        problems.push(("scopes", Problem::Missing));
    }
    if let Some(bad) = wish.scopes.iter().find(|text| Scope::parse(text).is_none()) {
        problems.push(("scopes", Problem::NoChoice(bad.chars().take(40).collect())));
    }
    let mut networks = Vec::new();
    for text in &wish.networks {
        match network(text) {
            Some(network) if networks.len() < NETWORKS_MAX => networks.push(network.to_string()),
            _ => problems.push(("networks", Problem::NoNetwork(text.chars().take(60).collect()))),
        }
    }
    let latest = by.at.plus_secs(LIFE_SECS_MAX);
    let expires_at = wish.expires_at.filter(|at| (by.at.0 + 1..=latest.0).contains(&at.0));
    match expires_at {
        Some(expires_at) if problems.is_empty() => {
            let token = fresh();
            let hash = session::token_hash(&token);
            let new = NewToken {
                name: wish.name,
                hash: &hash,
                scopes: &wish.scopes,
                networks: &networks,
                expires_at,
            };
            let id =
                app.inventory.create_token(by, new).await.map_err(|error| match Failure::from(error) {
                    Failure::Refused(problem) => Failure::field("name", problem),
                    other => other,
                })?;
            Ok((id, token))
        }
        Some(_) => Err(Failure::Input(problems)),
        None => {
            problems.push(("expires", Problem::TokenLife));
            Err(Failure::Input(problems))
        }
    }
}

/// A fresh token: a prefix by which scanners find lost ones, and 238 random bits.
fn fresh() -> String {
    format!("{PREFIX}{}", Alphanumeric.sample_string(&mut rand::rng(), SIGNS))
}

fn is_well_formed(token: &str) -> bool {
    let signs = token.strip_prefix(PREFIX).unwrap_or_default();
    signs.len() == SIGNS && signs.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// A network, or a single address.
fn network(text: &str) -> Option<IpNet> {
    let single = || text.parse::<IpAddr>().ok().map(IpNet::from);
    Some(text.parse::<IpNet>().ok().or_else(single)?.trunc())
}

/// Whether an address lies in one of the ranges; without ranges, any does.
fn is_from(networks: &[String], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.is_empty()
        || networks.iter().filter_map(|text| network(text)).any(|network| network.contains(&address))
}

const PREFIX: &str = "hm_";
const SIGNS: usize = 40;
/// A year and a bit: one that is renewed every year need not be renewed to the day.
const LIFE_SECS_MAX: u64 = 400 * 86_400;
const NETWORKS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_recognised_by_its_form() {
        let token = fresh();
        assert!(is_well_formed(&token) && token.starts_with("hm_") && token != fresh());
        for bad in ["", "hm_", &token[1..], &token[..42], &format!("{token}x"), &token.replace("hm_", "gh_")]
        {
            assert!(!is_well_formed(bad), "{bad}");
        }
        let with = |value: &str| HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
        assert_eq!(shown(&with("bearer  x ")), Some("x"));
        assert_eq!(shown(&with("Bearer ")), Some(""));
        assert_eq!(shown(&with("Basic eA==")), None);
        assert_eq!(shown(&HeaderMap::new()), None);
    }

    #[test]
    fn a_scope_opens_its_right_and_nothing_else() {
        let read = Scope::parse("devices:read").unwrap();
        let write = Scope::parse("people:write").unwrap();
        assert!(read.opens(Right::Devices, &Method::GET) && !read.opens(Right::Devices, &Method::POST));
        assert!(write.opens(Right::People, &Method::GET) && write.opens(Right::People, &Method::DELETE));
        assert!(!write.opens(Right::School, &Method::GET));
        for bad in ["", "own:read", "devices", "devices:", "devices:all", "Devices:read"] {
            assert_eq!(Scope::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_token_is_bound_to_its_address_ranges() {
        let ranges = ["10.77.0.0/16", "192.0.2.7/32", "2001:db8::/32"].map(str::to_owned);
        for (address, good) in [
            ("10.77.3.4", true),
            ("::ffff:10.77.3.4", true),
            ("10.78.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8::5", true),
            ("2001:db9::5", false),
        ] {
            assert_eq!(is_from(&ranges, address.parse().unwrap()), good, "{address}");
            assert!(is_from(&[], address.parse().unwrap()));
        }
        assert!(
            !is_from(&["nonsense".into()], "10.0.0.1".parse().unwrap()),
            "what cannot be read opens nothing"
        );
        assert_eq!(network("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(network("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(network("10.1.2.3/33"), None);
    }
}
