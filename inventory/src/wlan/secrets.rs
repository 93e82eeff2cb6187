//! What opens the WLAN and nothing else: guests' codes, passwords made for it, and keys of devices without an account.

use rand::Rng as _;
use serde::Serialize;
use uuid::Uuid;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::vault::Vault;
use crate::{Answer, By, DeviceId, Error, Inventory, Result, UnixMillis, UserId, VoucherId};

/// What guests give as their user name; the code is the password.
pub const GUEST_NAMES: [&str; 2] = ["gast", "guest"];

/// That a guest may use the WLAN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Voucher {
    /// Its id.
    pub id: VoucherId,
    /// Whom it is for, in the words of whoever made it.
    pub note: String,
    /// How many devices it is for.
    pub devices_max: u8,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: UnixMillis,
    /// When it ends.
    pub ends_at: UnixMillis,
}

/// A voucher to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVoucher<'a> {
    /// Whom it is for: at most 60 characters.
    pub note: &'a str,
    /// How many devices it is for: 1 to 99.
    pub devices_max: u8,
    /// When it ends: at most a year from now.
    pub ends_at: UnixMillis,
}

type VoucherRow = (Uuid, String, i64, String, i64, i64);

impl Inventory {
    /// Makes a voucher, and gives the code that the guest types. It cannot be read again.
    ///
    /// # Errors
    /// The note is too long, it is for no device or would be over, there are too many, or the database failed.
    pub fn make_voucher<'a>(&'a self, by: By<'a>, new: NewVoucher<'a>) -> Answer<'a, (VoucherId, String)> {
        Box::pin(async move {
            let note = new.note.trim().to_owned();
            if note.chars().count() > 60 || note.chars().any(char::is_control) {
                return Err(Error::Conflict(
                    "the note of a voucher has at most 60 printable characters".into(),
                ));
            }
            if !(1..=99).contains(&new.devices_max) {
                return Err(Error::Conflict("a voucher is for 1 to 99 devices".into()));
            }
            if new.ends_at <= by.at || new.ends_at.millis_since(by.at) > YEAR_MILLIS {
                return Err(Error::Conflict("a voucher ends in the future, and within a year".into()));
            }
            let (id, code) = (VoucherId::random(), random_text(CODE_CHARS));
            in_transaction!(self, "make a voucher", tx => {
                sqlx::query("DELETE FROM wlan_vouchers WHERE ends_at < $1").bind(by.at.0 - KEPT_MILLIS)
                    .execute(&mut *tx).await.map_err(Error::db("forget old vouchers"))?;
                let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM wlan_vouchers")
                    .fetch_one(&mut *tx).await.map_err(Error::db("count vouchers"))?;
                if count >= VOUCHERS_MAX {
                    return Err(Error::Conflict(format!("there are {VOUCHERS_MAX} vouchers; end some first")));
                }
                sqlx::query(
                    "INSERT INTO wlan_vouchers (id, code_hash, note, devices_max, created_by, created_at, ends_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7)")
                    .bind(id.0).bind(hash(&code)).bind(note).bind(i64::from(new.devices_max))
                    .bind(by.actor.to_owned()).bind(by.at.0).bind(new.ends_at.0)
                    .execute(&mut *tx).await.map_err(Error::db("make a voucher"))?;
                record!(tx, by, "voucher", id, "created")?;
                Ok(())
            })?;
            Ok((id, code))
        })
    }

    /// All vouchers, those that end last first. What is over stays a week.
    ///
    /// # Errors
    /// The database failed.
    pub fn vouchers(&self) -> Answer<'_, Vec<Voucher>> {
        Box::pin(async move {
            let rows: Vec<VoucherRow> = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, note, devices_max, created_by, created_at, ends_at FROM wlan_vouchers ORDER BY ends_at DESC, id")
                .fetch_all(pool).await)
            .map_err(Error::db("list vouchers"))?;
            Ok(rows.into_iter().map(voucher).collect())
        })
    }

    /// The voucher with that code; `None` if there is none. One that is over is found too.
    ///
    /// # Errors
    /// The database failed.
    pub fn voucher_by_code<'a>(&'a self, code: &'a str) -> Answer<'a, Option<Voucher>> {
        Box::pin(async move {
            let row: Option<VoucherRow> = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, note, devices_max, created_by, created_at, ends_at FROM wlan_vouchers WHERE code_hash = $1")
                .bind(hash(code)).fetch_optional(pool).await)
            .map_err(Error::db("find a voucher"))?;
            Ok(row.map(voucher))
        })
    }

    /// Ends a voucher at once.
    ///
    /// # Errors
    /// There is no such voucher, or the database failed.
    pub fn end_voucher<'a>(&'a self, by: By<'a>, id: VoucherId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "end a voucher", tx => {
                let done = sqlx::query("UPDATE wlan_vouchers SET ends_at = $1 WHERE id = $2 AND ends_at > $1")
                    .bind(by.at.0).bind(id.0).execute(&mut *tx).await.map_err(Error::db("end a voucher"))?;
                Error::unless_found(done.rows_affected(), "voucher", id)?;
                record!(tx, by, "voucher", id, "ended")?;
                Ok(())
            })
        })
    }
}

/// The functions for a kind of sealed secret, one for each row of another table.
macro_rules! sealed_secrets {
    ($owner:ty, $table:literal, $column:literal, $entity:literal, $what:literal, $chars:expr, $make:ident, $get:ident, $delete:ident) => {
        impl Inventory {
            #[doc = concat!("Makes a new ", $what, " in place of the one that there may be, and gives it.")]
            ///
            /// # Errors
            /// Its owner does not exist, or the database failed.
            pub fn $make<'a>(&'a self, by: By<'a>, vault: &'a Vault, owner: $owner) -> Answer<'a, String> {
                Box::pin(async move {
                    let secret = random_text($chars);
                    let sealed = vault.seal(&bound($table, owner.0), secret.as_bytes());
                    let sealed =
                        sealed.ok_or_else(|| Error::Unusable("a secret cannot be sealed".into()))?;
                    in_transaction!(self, "keep a secret", tx => {
                        sqlx::query(concat!(
                            "INSERT INTO ", $table, " (", $column, ", sealed) VALUES ($1, $2) ON CONFLICT (", $column,
                            ") DO UPDATE SET sealed = excluded.sealed"))
                            .bind(owner.0).bind(sealed)
                            .execute(&mut *tx).await.map_err(Error::reference("keep a secret"))?;
                        record!(tx, by, $entity, owner, "wlan secret made")?;
                        Ok(())
                    })?;
                    Ok(secret)
                })
            }

            #[doc = concat!("The ", $what, ", if there is one.")]
            ///
            /// # Errors
            /// It cannot be opened, or the database failed.
            pub fn $get<'a>(&'a self, vault: &'a Vault, owner: $owner) -> Answer<'a, Option<String>> {
                Box::pin(async move {
                    let sealed: Option<String> = on_pool!(self, pool => sqlx::query_scalar(
                        concat!("SELECT sealed FROM ", $table, " WHERE ", $column, " = $1"))
                        .bind(owner.0).fetch_optional(pool).await)
                    .map_err(Error::db("read a secret"))?;
                    sealed.map(|sealed| opened(vault, $table, owner.0, &sealed)).transpose()
                })
            }

            #[doc = concat!("Removes the ", $what, ".")]
            ///
            /// # Errors
            /// There is none, or the database failed.
            pub fn $delete<'a>(&'a self, by: By<'a>, owner: $owner) -> Answer<'a, ()> {
                Box::pin(async move {
                    in_transaction!(self, "remove a secret", tx => {
                        let done = sqlx::query(concat!("DELETE FROM ", $table, " WHERE ", $column, " = $1"))
                            .bind(owner.0).execute(&mut *tx).await.map_err(Error::db("remove a secret"))?;
                        Error::unless_found(done.rows_affected(), $what, owner)?;
                        record!(tx, by, $entity, owner, "wlan secret removed")?;
                        Ok(())
                    })
                })
            }
        }
    };
}

sealed_secrets!(
    UserId,
    "wlan_passwords",
    "user_id",
    "user",
    "password for the WLAN",
    PASSWORD_CHARS,
    make_wifi_password,
    wifi_password,
    delete_wifi_password
);
sealed_secrets!(
    DeviceId,
    "wlan_device_keys",
    "device_id",
    "device",
    "key for the WLAN",
    PASSWORD_CHARS,
    make_device_key,
    device_key,
    delete_device_key
);

/// What a secret is sealed for: a person's and a device's can never be exchanged.
fn bound(table: &str, owner: Uuid) -> Vec<u8> {
    [table.as_bytes(), owner.as_bytes()].concat()
}

fn opened(vault: &Vault, table: &'static str, owner: Uuid, sealed: &str) -> Result<String> {
    let opened = vault.unseal(&bound(table, owner), sealed).and_then(|secret| String::from_utf8(secret).ok());
    opened.ok_or_else(|| Error::row(table, owner)("it was sealed with another key; make a new one".into()))
}

fn voucher((id, note, devices_max, created_by, created, ends): VoucherRow) -> Voucher {
    Voucher {
        id: VoucherId(id),
        note,
        devices_max: u8::try_from(devices_max).unwrap_or(1),
        created_by,
        created_at: UnixMillis(created),
        ends_at: UnixMillis(ends),
    }
}

/// What a code is looked up by: people type capitals and blanks as they like.
fn hash(code: &str) -> String {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    let digest = ring::digest::digest(&ring::digest::SHA256, plain.to_ascii_lowercase().as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Random letters and digits that look different from each other: almost five bits each.
pub(super) fn random_text(chars: usize) -> String {
    let mut random = rand::rng();
    let sign = |_| SIGNS.get(random.random_range(0..SIGNS.len())).copied().map_or('x', char::from);
    (0..chars).map(sign).collect()
}

const SIGNS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// 59 bits, against who may try a few hundred of them in an hour.
const CODE_CHARS: usize = 12;
/// 79 bits: what is overheard can be tried at home. Between 8 and 63 characters, as a pre-shared key must have.
const PASSWORD_CHARS: usize = 16;
const VOUCHERS_MAX: i64 = 2000;
const YEAR_MILLIS: i64 = 366 * 86_400_000;
const KEPT_MILLIS: i64 = 7 * 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_differ_and_are_found_however_they_are_typed() {
        let code = random_text(CODE_CHARS);
        assert_eq!(code.len(), CODE_CHARS);
        assert_ne!(code, random_text(CODE_CHARS));
        assert_eq!(hash("ab2c-DE3f gh4j"), hash("AB2CDE3FGH4J"));
        assert_ne!(hash(""), hash("ab2cde3fgh4j"));
    }
}
