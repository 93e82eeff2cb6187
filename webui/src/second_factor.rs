//! The second factor of an account: setting it up, asking for it, taking it away. Pages and API meet here.
//!
//! Between the page that shows a new secret and the code that proves it, the secret travels with the form, sealed; nothing is kept before
//! it works. At rest it is sealed too, and recovery codes are hashes of 79 random bits.

use std::net::IpAddr;

use inventory::{By, User, UserId, clock};
use rand::{Rng as _, RngCore as _};

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::problem::Problem;
use crate::totp::{SECRET_BYTES, Secret};
use crate::{session, signin};

/// A second factor that waits for its first code.
pub(crate) struct Enrolment {
    /// The secret, sealed, to be sent back with the code.
    pub(crate) sealed: String,
    pub(crate) secret: Secret,
    /// Address for authenticator apps.
    pub(crate) uri: String,
}

/// Begins to set one up.
pub(crate) fn enrol(app: &App, user: &User) -> Answer<Enrolment> {
    let mut random = [0; SECRET_BYTES];
    rand::rng().fill_bytes(&mut random);
    enrolment(app, user, Secret::new(random))
}

/// The same one again, for somebody who mistyped its first code.
pub(crate) fn enrol_again(app: &App, user: &User, sealed: &str) -> Answer<Enrolment> {
    enrolment(app, user, unseal(app, user.id, sealed).ok_or(Failure::Malformed(String::new()))?)
}

fn enrolment(app: &App, user: &User, secret: Secret) -> Answer<Enrolment> {
    let sealed = app.vault.seal(user.id.0.as_bytes(), secret.bytes()).ok_or(Failure::Internal)?;
    Ok(Enrolment { sealed, uri: secret.uri(&app.school.name, &user.name), secret })
}

/// Sets it up, if the code is one of the sealed secret; returns the recovery codes, which nobody can see again.
pub(crate) async fn confirm(app: &App, me: &SignedIn, sealed: &str, code: &str) -> Answer<Vec<String>> {
    let secret = unseal(app, me.user.id, sealed).ok_or(Failure::Malformed(String::new()))?;
    let by = me.by();
    let step = secret.step_of(by.at, code).ok_or(Failure::field("code", Problem::WrongCode))?;
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| recovery_code()).collect();
    let hashes: Vec<String> = codes.iter().map(|code| recovery_hash(code)).collect();
    app.inventory.set_totp(by, me.user.id, sealed, step, &hashes).await?;
    Ok(codes)
}

/// Checks a code, or a recovery code, of somebody who gave the right password. Slowed down for whoever guesses.
pub(crate) async fn check(app: &App, user: &User, code: &str, address: IpAddr) -> Answer<()> {
    let account = format!("code {}", user.name);
    signin::attempt(app, &account, address)?;
    if !is_good(app, user, code).await? {
        tracing::info!(peer.address = %address, "a sign-in was refused: wrong code");
        return Err(Failure::field("code", Problem::WrongCode));
    }
    app.succeeded(&account, address);
    Ok(())
}

async fn is_good(app: &App, user: &User, code: &str) -> Answer<bool> {
    let by = By { actor: &user.name, at: clock::now() };
    let Some(sealed) = app.inventory.totp_secret(user.id).await? else { return Ok(false) };
    let secret = unseal(app, user.id, &sealed);
    if secret.is_none() {
        tracing::error!(
            "the secret of a second factor cannot be unsealed: keys/secrets.key is not the one it was sealed with; recovery codes still work"
        );
    }
    match secret.and_then(|secret| secret.step_of(by.at, code)) {
        Some(step) => Ok(app.inventory.use_totp_step(user.id, step).await?),
        None if code.len() <= CODE_BYTES_MAX => {
            Ok(app.inventory.use_recovery_code(by, user.id, &recovery_hash(code)).await?)
        }
        None => Ok(false),
    }
}

fn unseal(app: &App, owner: UserId, sealed: &str) -> Option<Secret> {
    Secret::from_bytes(&app.vault.unseal(owner.0.as_bytes(), sealed)?)
}

/// Four groups of four signs that cannot be mistaken for each other: 79 bits.
fn recovery_code() -> String {
    let mut random = rand::rng();
    let mut sign = || SIGNS.get(random.random_range(0..SIGNS.len())).map_or('x', |byte| char::from(*byte));
    let groups: Vec<String> = (0..4).map(|_| (0..4).map(|_| sign()).collect()).collect();
    groups.join("-")
}

/// Hash of a recovery code, however it was typed.
fn recovery_hash(code: &str) -> String {
    let signs: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    session::token_hash(&signs.to_ascii_lowercase())
}

const SIGNS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
const RECOVERY_CODES: usize = 10;
const CODE_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_code_is_read_however_it_is_typed() {
        let code = recovery_code();
        assert_eq!(code.len(), 19);
        assert_ne!(code, recovery_code());
        assert_eq!(
            recovery_hash(&code),
            recovery_hash(&format!(" {} ", code.to_uppercase().replace('-', " ")))
        );
        assert_ne!(recovery_hash(&code), recovery_hash(&recovery_code()));
    }
}
