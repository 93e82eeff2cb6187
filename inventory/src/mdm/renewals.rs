//! What happens to an iPad by itself: its certificate is renewed in time, and it is let out of the setup assistant.

use uuid::Uuid;

use super::commands::{NewCommand, insert_command, supersede};
use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, By, CommandId, EnrolmentId, Error, Inventory, UnixMillis};

/// An iPad that waits in the setup assistant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Awaiting {
    /// Which.
    pub ipad: EnrolmentId,
    /// Since when.
    pub since: UnixMillis,
    /// How many commands wait for it.
    pub open_commands: u32,
}

impl Inventory {
    /// Enrolled iPads whose certificate has less than a third of its life left and that were not asked to renew it since `asked`; those
    /// whose certificate ends first, at most `limit`.
    ///
    /// # Errors
    /// The database failed.
    pub fn ipads_to_renew(
        &self,
        now: UnixMillis,
        asked: UnixMillis,
        limit: u32,
    ) -> Answer<'_, Vec<EnrolmentId>> {
        Box::pin(async move {
            let ids: Vec<Uuid> = on_pool!(self, pool => sqlx::query_scalar(
                "SELECT e.id FROM mdm_enrolments e JOIN mdm_certificates c
                   ON c.fingerprint = (SELECT n.fingerprint FROM mdm_certificates n WHERE n.enrolment_id = e.id AND n.revoked_at IS NULL
                                       ORDER BY n.issued_at DESC, n.fingerprint LIMIT 1)
                 WHERE e.state = 'enrolled' AND c.ends_at > $1 AND 3 * ($1 - c.issued_at) > 2 * (c.ends_at - c.issued_at)
                   AND NOT EXISTS (SELECT 1 FROM mdm_renewals r WHERE r.enrolment_id = e.id AND r.made_at > $2)
                 ORDER BY c.ends_at, e.id LIMIT $3")
                .bind(now.0).bind(asked.0).bind(i64::from(limit)).fetch_all(pool).await)
            .map_err(Error::db("find certificates to renew"))?;
            Ok(ids.into_iter().map(EnrolmentId).collect())
        })
    }

    /// Asks an iPad to renew its certificate: a challenge for one key, and the command that brings it.
    ///
    /// # Errors
    /// There is no such iPad, or the database failed.
    pub fn ask_to_renew<'a>(
        &'a self,
        by: By<'a>,
        challenge_hash: &'a str,
        ends_at: UnixMillis,
        command: &'a NewCommand,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "ask an iPad to renew its certificate", tx => {
                let ipad = command.enrolment;
                sqlx::query(
                    "INSERT INTO mdm_renewals (enrolment_id, hash, made_at, ends_at) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (enrolment_id) DO UPDATE SET hash = excluded.hash, key_hash = NULL, made_at = excluded.made_at,
                       ends_at = excluded.ends_at")
                    .bind(ipad.0).bind(challenge_hash.to_owned()).bind(by.at.0).bind(ends_at.0)
                    .execute(&mut *tx).await.map_err(Error::reference("ask an iPad to renew its certificate"))?;
                supersede!(tx, by, command)?;
                insert_command!(tx, by, CommandId::random(), command)?;
                record!(tx, by, "ipad", ipad, "queued")?;
                Ok(())
            })
        })
    }

    /// iPads that wait in the setup assistant and were not told to go on.
    ///
    /// # Errors
    /// The database failed.
    pub fn awaiting_ipads(&self) -> Answer<'_, Vec<Awaiting>> {
        Box::pin(async move {
            let rows: Vec<(Uuid, i64, i64)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT e.id, COALESCE(e.enrolled_at, 0),
                   (SELECT COUNT(*) FROM mdm_commands q WHERE q.enrolment_id = e.id AND q.ended_at IS NULL)
                 FROM mdm_enrolments e WHERE e.state = 'enrolled' AND e.awaiting
                   AND NOT EXISTS (SELECT 1 FROM mdm_commands q WHERE q.enrolment_id = e.id AND q.kind = 'DeviceConfigured'
                                     AND (q.ended_at IS NULL OR q.state = 'done'))
                 ORDER BY e.enrolled_at LIMIT 1000")
                .fetch_all(pool).await)
            .map_err(Error::db("find iPads that wait"))?;
            let awaiting = |(id, since, open): (Uuid, i64, i64)| Awaiting {
                ipad: EnrolmentId(id),
                since: UnixMillis(since),
                open_commands: u32::try_from(open).unwrap_or(0),
            };
            Ok(rows.into_iter().map(awaiting).collect())
        })
    }
}
