//! Invitations, the challenges made of them, and the certificates that those are exchanged for.

use uuid::Uuid;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, By, DeviceId, EnrolmentId, Error, GroupId, Inventory, InvitationId, RoomId, UnixMillis};

/// A link that enrols iPads.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// The one device it is for.
    pub device: Option<DeviceId>,
    /// Where iPads that come by it belong.
    pub room: RoomId,
    /// The class they belong to.
    pub group: Option<GroupId>,
    /// How many may still come.
    pub uses_left: u32,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: UnixMillis,
    /// When it ends.
    pub ends_at: UnixMillis,
}

/// An invitation to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewInvitation<'a> {
    /// Hash of the link's token.
    pub hash: &'a str,
    /// The one device it is for.
    pub device: Option<DeviceId>,
    /// Where iPads that come by it belong.
    pub room: RoomId,
    /// The class they belong to.
    pub group: Option<GroupId>,
    /// How many may come: 1 to [`USES_MAX`].
    pub uses: u32,
    /// When it ends.
    pub ends_at: UnixMillis,
}

/// What an opened link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The invitation.
    pub invitation: InvitationId,
    /// Who the iPad will be: the common name of its certificate.
    pub enrolment: EnrolmentId,
}

/// A challenge that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Who the certificate is for.
    pub enrolment: EnrolmentId,
    /// Hash of the key that got a certificate for it already.
    pub key_hash: Option<String>,
}

/// A certificate that was issued.
#[derive(Debug, Clone, Copy)]
pub struct NewCertificate<'a> {
    /// SHA-256 of the certificate, hexadecimal.
    pub fingerprint: &'a str,
    /// Its serial number, hexadecimal.
    pub serial: &'a str,
    /// When it ends.
    pub ends_at: UnixMillis,
}

/// Whether a certificate may leave the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certified {
    /// It is known from here on.
    Yes,
    /// The challenge is over, or was used with another key.
    No,
}

macro_rules! insert_certificate {
    ($tx:expr, $by:expr, $enrolment:expr, $invitation:expr, $new:expr) => {
        sqlx::query(
            "INSERT INTO mdm_certificates (fingerprint, enrolment_id, serial, issued_at, ends_at, invitation_id)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind($new.fingerprint.to_owned())
        .bind($enrolment)
        .bind($new.serial.to_owned())
        .bind($by.at.0)
        .bind($new.ends_at.0)
        .bind($invitation)
        .execute(&mut *$tx)
        .await
        .map_err(Error::db("note a certificate"))
    };
}

impl Inventory {
    /// Makes an invitation.
    ///
    /// # Errors
    /// `uses` is out of bounds, room, device or group do not exist, there are [`INVITATIONS_MAX`] of them, or the database failed.
    pub fn create_invitation<'a>(&'a self, by: By<'a>, new: NewInvitation<'a>) -> Answer<'a, InvitationId> {
        Box::pin(async move {
            let uses = if new.device.is_some() { 1 } else { new.uses };
            if !(1..=USES_MAX).contains(&uses) {
                return Err(Error::Conflict(format!("an invitation is for 1 to {USES_MAX} iPads")));
            }
            let id = InvitationId::random();
            in_transaction!(self, "make an invitation", tx => {
                sqlx::query("DELETE FROM mdm_invitations WHERE ends_at <= $1").bind(by.at.0)
                    .execute(&mut *tx).await.map_err(Error::db("remove old invitations"))?;
                let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM mdm_invitations WHERE serial IS NULL")
                    .fetch_one(&mut *tx).await.map_err(Error::db("count invitations"))?;
                if count >= INVITATIONS_MAX {
                    return Err(Error::Conflict(format!("there are {INVITATIONS_MAX} invitations; remove one first")));
                }
                sqlx::query("INSERT INTO mdm_invitations (id, token_hash, device_id, room_id, group_id, uses_left, created_by, created_at, ends_at)
                             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
                    .bind(id.0).bind(new.hash.to_owned()).bind(new.device.map(|d| d.0)).bind(new.room.0)
                    .bind(new.group.map(|g| g.0)).bind(i64::from(uses)).bind(by.actor.to_owned()).bind(by.at.0)
                    .bind(new.ends_at.0)
                    .execute(&mut *tx).await.map_err(Error::reference("make an invitation"))?;
                record!(tx, by, "invitation", id, "created")?;
                Ok(())
            })?;
            Ok(id)
        })
    }

    /// The invitations that hold, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub fn invitations(&self, now: UnixMillis) -> Answer<'_, Vec<Invitation>> {
        Box::pin(async move {
            let rows: Vec<Row> = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, device_id, room_id, group_id, uses_left, created_by, created_at, ends_at
                 FROM mdm_invitations WHERE ends_at > $1 AND uses_left > 0 AND serial IS NULL ORDER BY created_at DESC, id")
                .bind(now.0).fetch_all(pool).await)
            .map_err(Error::db("list invitations"))?;
            Ok(rows.into_iter().map(invitation).collect())
        })
    }

    /// Takes an invitation back; iPads that came by it stay.
    ///
    /// # Errors
    /// There is no such invitation, or the database failed.
    pub fn delete_invitation<'a>(&'a self, by: By<'a>, id: InvitationId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "remove an invitation", tx => {
                let done = sqlx::query("DELETE FROM mdm_invitations WHERE id = $1").bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::db("remove an invitation"))?;
                Error::unless_found(done.rows_affected(), "invitation", id)?;
                record!(tx, by, "invitation", id, "deleted")?;
                Ok(())
            })
        })
    }

    /// Opens a link: makes a challenge that holds until `ends_at`. `None` when the link is unknown, over or used up, or was opened
    /// [`CHALLENGES_MAX`] times without anybody going on. `account` is who signed in on the iPad, where somebody did.
    ///
    /// # Errors
    /// The database failed.
    pub fn open_invitation<'a>(
        &'a self,
        by: By<'a>,
        token_hash: &'a str,
        challenge_hash: &'a str,
        ends_at: UnixMillis,
        account: Option<&'a str>,
    ) -> Answer<'a, Option<Opened>> {
        Box::pin(async move {
            // Strangers who guess cost a look, not a write.
            let known: i64 = on_pool!(self, pool => sqlx::query_scalar("SELECT COUNT(*) FROM mdm_invitations WHERE token_hash = $1")
                .bind(token_hash.to_owned()).fetch_one(pool).await)
            .map_err(Error::db("find an invitation"))?;
            if known == 0 {
                return Ok(None);
            }
            in_transaction!(self, "open an invitation", tx => {
                sqlx::query("DELETE FROM mdm_challenges WHERE ends_at <= $1").bind(by.at.0)
                    .execute(&mut *tx).await.map_err(Error::db("remove old challenges"))?;
                let found: Option<Uuid> = sqlx::query_scalar(
                    "SELECT id FROM mdm_invitations i WHERE token_hash = $1 AND ends_at > $2 AND uses_left > 0
                       AND (SELECT COUNT(*) FROM mdm_challenges c WHERE c.invitation_id = i.id AND c.key_hash IS NULL) < $3")
                    .bind(token_hash.to_owned()).bind(by.at.0).bind(CHALLENGES_MAX)
                    .fetch_optional(&mut *tx).await.map_err(Error::db("find an invitation"))?;
                let Some(invitation) = found else { return Ok(None) };
                let enrolment = EnrolmentId::random();
                sqlx::query("INSERT INTO mdm_challenges (hash, invitation_id, enrolment_id, ends_at, account) VALUES ($1, $2, $3, $4, $5)")
                    .bind(challenge_hash.to_owned()).bind(invitation).bind(enrolment.0).bind(ends_at.0)
                    .bind(account.map(ToOwned::to_owned))
                    .execute(&mut *tx).await.map_err(Error::db("make a challenge"))?;
                Ok(Some(Opened { invitation: InvitationId(invitation), enrolment }))
            })
        })
    }

    /// The challenge with that hash, if it holds.
    ///
    /// # Errors
    /// The database failed.
    pub fn challenge<'a>(&'a self, hash: &'a str, now: UnixMillis) -> Answer<'a, Option<Challenge>> {
        Box::pin(async move {
            let row: Option<(Uuid, Option<String>)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT enrolment_id, key_hash FROM mdm_challenges WHERE hash = $1 AND ends_at > $2
                 UNION ALL SELECT enrolment_id, key_hash FROM mdm_renewals WHERE hash = $1 AND ends_at > $2")
                .bind(hash.to_owned()).bind(now.0).fetch_optional(pool).await)
            .map_err(Error::db("find a challenge"))?;
            Ok(row.map(|(id, key_hash)| Challenge { enrolment: EnrolmentId(id), key_hash }))
        })
    }

    /// Takes note of a certificate before it leaves: the challenge belongs to that key from here on.
    ///
    /// # Errors
    /// The database failed.
    pub fn certify<'a>(
        &'a self,
        by: By<'a>,
        challenge_hash: &'a str,
        key_hash: &'a str,
        new: NewCertificate<'a>,
    ) -> Answer<'a, Certified> {
        Box::pin(async move {
            in_transaction!(self, "note a certificate", tx => {
                let used: Option<(Uuid, Uuid)> = sqlx::query_as(
                    "UPDATE mdm_challenges SET key_hash = $1
                     WHERE hash = $2 AND ends_at > $3 AND (key_hash IS NULL OR key_hash = $1)
                       AND (SELECT COUNT(*) FROM mdm_certificates c WHERE c.enrolment_id = mdm_challenges.enrolment_id) < $4
                     RETURNING enrolment_id, invitation_id")
                    .bind(key_hash.to_owned()).bind(challenge_hash.to_owned()).bind(by.at.0).bind(ANSWERS_MAX)
                    .fetch_optional(&mut *tx).await.map_err(Error::db("use a challenge"))?;
                if let Some((enrolment, invitation)) = used {
                    insert_certificate!(tx, by, enrolment, Some(invitation), new)?;
                    return Ok(Certified::Yes);
                }
                // The challenge of an iPad that was asked to renew its certificate.
                let renewed: Option<Uuid> = sqlx::query_scalar(
                    "UPDATE mdm_renewals SET key_hash = $1
                     WHERE hash = $2 AND ends_at > $3 AND (key_hash IS NULL OR key_hash = $1)
                       AND (SELECT COUNT(*) FROM mdm_certificates c
                            WHERE c.enrolment_id = mdm_renewals.enrolment_id AND c.issued_at >= mdm_renewals.made_at) < $4
                       AND EXISTS (SELECT 1 FROM mdm_enrolments e WHERE e.id = mdm_renewals.enrolment_id AND e.state = 'enrolled')
                     RETURNING enrolment_id")
                    .bind(key_hash.to_owned()).bind(challenge_hash.to_owned()).bind(by.at.0).bind(ANSWERS_MAX)
                    .fetch_optional(&mut *tx).await.map_err(Error::db("use a challenge"))?;
                let Some(enrolment) = renewed else { return Ok(Certified::No) };
                insert_certificate!(tx, by, enrolment, None::<Uuid>, new)?;
                record!(tx, by, "ipad", enrolment, "renewed")?;
                Ok(Certified::Yes)
            })
        })
    }

    /// Takes note of a new certificate of an enrolled iPad whose old one is presented.
    ///
    /// # Errors
    /// The database failed.
    pub fn renew_certificate<'a>(
        &'a self,
        by: By<'a>,
        old_fingerprint: &'a str,
        new: NewCertificate<'a>,
    ) -> Answer<'a, Certified> {
        Box::pin(async move {
            in_transaction!(self, "renew a certificate", tx => {
                let enrolment: Option<Uuid> = sqlx::query_scalar(
                    "SELECT c.enrolment_id FROM mdm_certificates c JOIN mdm_enrolments e ON e.id = c.enrolment_id
                     WHERE c.fingerprint = $1 AND c.revoked_at IS NULL AND c.ends_at > $2 AND e.state = 'enrolled'")
                    .bind(old_fingerprint.to_owned()).bind(by.at.0)
                    .fetch_optional(&mut *tx).await.map_err(Error::db("find a certificate"))?;
                let Some(enrolment) = enrolment else { return Ok(Certified::No) };
                insert_certificate!(tx, by, enrolment, None::<Uuid>, new)?;
                record!(tx, by, "ipad", enrolment, "renewed")?;
                Ok(Certified::Yes)
            })
        })
    }
}

/// Most iPads that one invitation is for.
pub const USES_MAX: u32 = 2000;
/// Most invitations at a time.
pub const INVITATIONS_MAX: i64 = 500;
/// How often one challenge is answered: the answer may get lost.
const ANSWERS_MAX: i64 = 5;
/// Most challenges of one invitation that nobody used yet.
const CHALLENGES_MAX: i64 = 500;

type Row = (Uuid, Option<Uuid>, Uuid, Option<Uuid>, i64, String, i64, i64);

fn invitation((id, device, room, group, uses, created_by, created, ends): Row) -> Invitation {
    Invitation {
        id: InvitationId(id),
        device: device.map(DeviceId),
        room: RoomId(room),
        group: group.map(GroupId),
        uses_left: u32::try_from(uses).unwrap_or(0),
        created_by,
        created_at: UnixMillis(created),
        ends_at: UnixMillis(ends),
    }
}
