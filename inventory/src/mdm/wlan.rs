//! Certificates by which iPads join the school's WLAN. They open nothing else: management has certificates of its own.

use uuid::Uuid;

use super::{Certified, NewCertificate};
use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, By, EnrolmentId, Error, Inventory, UnixMillis};

/// A certificate for the WLAN.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct WlanCertificate {
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub fingerprint: String,
    /// Its serial number, in hexadecimal digits.
    pub serial: String,
    /// When it ends.
    pub ends_at: UnixMillis,
    /// When it was revoked.
    pub revoked_at: Option<UnixMillis>,
}

/// Whoever leaves loses the WLAN too.
macro_rules! revoke_wlan {
    ($tx:expr, $by:expr, $id:expr) => {
        sqlx::query(
            "UPDATE wlan_certificates SET revoked_at = $1 WHERE enrolment_id = $2 AND revoked_at IS NULL",
        )
        .bind($by.at.0)
        .bind($id)
        .execute(&mut *$tx)
        .await
        .map_err($crate::Error::db("revoke an iPad's certificates for the WLAN"))
    };
}
pub(super) use revoke_wlan;

impl Inventory {
    /// Makes a password for one certificate of an enrolled iPad. `false` when it is not enrolled, or has five of them already.
    ///
    /// # Errors
    /// The database failed.
    pub fn challenge_for_wlan<'a>(
        &'a self,
        by: By<'a>,
        ipad: EnrolmentId,
        hash: &'a str,
        ends_at: UnixMillis,
    ) -> Answer<'a, bool> {
        Box::pin(async move {
            in_transaction!(self, "make a challenge", tx => {
                sqlx::query("DELETE FROM wlan_challenges WHERE ends_at <= $1").bind(by.at.0)
                    .execute(&mut *tx).await.map_err(Error::db("remove old challenges"))?;
                let done = sqlx::query(
                    "INSERT INTO wlan_challenges (hash, enrolment_id, ends_at)
                     SELECT $1, e.id, $2 FROM mdm_enrolments e WHERE e.id = $3 AND e.state = 'enrolled'
                       AND (SELECT COUNT(*) FROM wlan_challenges c WHERE c.enrolment_id = e.id) < $4")
                    .bind(hash.to_owned()).bind(ends_at.0).bind(ipad.0).bind(CHALLENGES_MAX)
                    .execute(&mut *tx).await.map_err(Error::db("make a challenge"))?;
                Ok(done.rows_affected() == 1)
            })
        })
    }

    /// Whose certificate for the WLAN that challenge is for, if it holds.
    ///
    /// # Errors
    /// The database failed.
    pub fn wlan_challenge<'a>(&'a self, hash: &'a str, now: UnixMillis) -> Answer<'a, Option<EnrolmentId>> {
        Box::pin(async move {
            let found: Option<Uuid> = on_pool!(self, pool => sqlx::query_scalar(
                "SELECT enrolment_id FROM wlan_challenges WHERE hash = $1 AND ends_at > $2")
                .bind(hash.to_owned()).bind(now.0).fetch_optional(pool).await)
            .map_err(Error::db("find a challenge"))?;
            Ok(found.map(EnrolmentId))
        })
    }

    /// Takes note of a certificate before it leaves: the challenge belongs to that key from here on.
    ///
    /// # Errors
    /// The database failed.
    pub fn certify_for_wlan<'a>(
        &'a self,
        by: By<'a>,
        challenge_hash: &'a str,
        key_hash: &'a str,
        new: NewCertificate<'a>,
    ) -> Answer<'a, Certified> {
        Box::pin(async move {
            in_transaction!(self, "note a certificate", tx => {
                let used: Option<Uuid> = sqlx::query_scalar(
                    "UPDATE wlan_challenges SET key_hash = $1
                     WHERE hash = $2 AND ends_at > $3 AND (key_hash IS NULL OR key_hash = $1)
                       AND EXISTS (SELECT 1 FROM mdm_enrolments e WHERE e.id = wlan_challenges.enrolment_id AND e.state = 'enrolled')
                     RETURNING enrolment_id")
                    .bind(key_hash.to_owned()).bind(challenge_hash.to_owned()).bind(by.at.0)
                    .fetch_optional(&mut *tx).await.map_err(Error::db("use a challenge"))?;
                let Some(ipad) = used else { return Ok(Certified::No) };
                sqlx::query("INSERT INTO wlan_certificates (fingerprint, enrolment_id, serial, issued_at, ends_at) VALUES ($1, $2, $3, $4, $5)")
                    .bind(new.fingerprint.to_owned()).bind(ipad).bind(new.serial.to_owned()).bind(by.at.0).bind(new.ends_at.0)
                    .execute(&mut *tx).await.map_err(Error::db("note a certificate"))?;
                record!(tx, by, "ipad", ipad, "wlan certificate")?;
                Ok(Certified::Yes)
            })
        })
    }

    /// The certificates of an iPad for the WLAN, the newest first.
    ///
    /// # Errors
    /// The database failed.
    pub fn wlan_certificates(&self, ipad: EnrolmentId) -> Answer<'_, Vec<WlanCertificate>> {
        Box::pin(async move {
            type Row = (String, String, i64, Option<i64>);
            let rows: Vec<Row> = on_pool!(self, pool => sqlx::query_as(
                "SELECT fingerprint, serial, ends_at, revoked_at FROM wlan_certificates WHERE enrolment_id = $1
                 ORDER BY issued_at DESC, fingerprint LIMIT 20")
                .bind(ipad.0).fetch_all(pool).await)
            .map_err(Error::db("list certificates for the WLAN"))?;
            let one = |(fingerprint, serial, ends, revoked): Row| WlanCertificate {
                fingerprint,
                serial,
                ends_at: UnixMillis(ends),
                revoked_at: revoked.map(UnixMillis),
            };
            Ok(rows.into_iter().map(one).collect())
        })
    }
}

/// An iPad fetches its profile again when the answer got lost.
const CHALLENGES_MAX: i64 = 5;
