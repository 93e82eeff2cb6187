//! iPads under management: from the first certificate to the day they leave.

use uuid::Uuid;

use super::commands::{NewCommand, insert_command, supersede};
use super::wlan::revoke_wlan;
use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::devices::insert_device;
use crate::{
    Answer, By, CommandId, DeviceId, EnrolmentId, Error, Hostname, Inventory, NewDevice, Result, RoomId,
    UnixMillis,
};

/// An iPad under management.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Enrolment {
    /// Its id.
    pub id: EnrolmentId,
    /// The device it is.
    pub device: Option<DeviceId>,
    /// Apple's id of the hardware.
    pub udid: Option<String>,
    /// Serial number.
    pub serial: String,
    /// How far it is.
    pub state: EnrolmentState,
    /// Model, as Apple names it (`iPad13,18`).
    pub model: String,
    /// Version of its system; empty when it did not say.
    pub os_version: String,
    /// The Managed Apple Account by which it enrolled, where it did so.
    pub account: Option<String>,
    /// SHA-256 of the certificate it uses, hexadecimal.
    #[serde(skip)]
    pub certificate: Option<String>,
    /// How many certificates of it hold: two while one is renewed.
    #[serde(skip)]
    pub certificates: u32,
    /// When that certificate ends.
    pub certificate_ends_at: Option<UnixMillis>,
    /// Push token and magic, sealed.
    #[serde(skip)]
    pub push: Option<String>,
    /// Whether it waits in the setup assistant until it is told that all is done.
    pub awaiting: bool,
    /// When it came under management.
    pub enrolled_at: Option<UnixMillis>,
    /// When it spoke last.
    pub last_seen: Option<UnixMillis>,
    /// How many commands wait for it.
    pub open_commands: u32,
}

/// How far an enrolment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnrolmentState {
    /// It said who it is (`Authenticate`), but cannot be pushed yet.
    Authenticated,
    /// It is under management.
    Enrolled,
    /// Its profile was removed, or it enrolled anew.
    Left,
}

impl EnrolmentState {
    fn text(self) -> &'static str {
        match self {
            Self::Authenticated => "authenticated",
            Self::Enrolled => "enrolled",
            Self::Left => "left",
        }
    }
}

/// Who an iPad says it is.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// SHA-256 of the certificate that it presents, hexadecimal.
    pub fingerprint: &'a str,
    /// Apple's id of the hardware.
    pub udid: &'a str,
    /// Serial number; empty when it does not say.
    pub serial: &'a str,
    /// Model.
    pub model: &'a str,
    /// Version of its system.
    pub os_version: &'a str,
}

/// What came of an arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrived {
    /// It may go on.
    Welcome(EnrolmentId),
    /// It may not; for the log.
    Refused(&'static str),
}

/// How an iPad is reached.
#[derive(Debug, Clone, Copy)]
pub struct Reachable<'a> {
    /// Push token and magic, sealed.
    pub push: &'a str,
    /// The token that takes its passcode away, sealed. One that is absent leaves the one from before.
    pub unlock_token: Option<&'a str>,
    /// Whether it waits in the setup assistant.
    pub awaiting: bool,
    /// What it is asked when it comes under management, and while it waits.
    pub welcome: &'a [NewCommand],
}

/// What an iPad said of itself.
#[derive(Debug, Clone, PartialEq, serde::Serialize, schemars::JsonSchema)]
pub struct Report {
    /// What was asked (`DeviceInformation`, …).
    pub kind: String,
    /// The answer.
    pub body: serde_json::Value,
    /// When.
    pub at: UnixMillis,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT e.id, e.device_id, e.udid, e.serial, e.state, e.model, e.os_version, e.account, e.push, e.awaiting, e.enrolled_at, e.last_seen,
               c.fingerprint, c.ends_at,
               (SELECT COUNT(*) FROM mdm_certificates a WHERE a.enrolment_id = e.id AND a.revoked_at IS NULL) AS certificates,
               (SELECT COUNT(*) FROM mdm_commands q WHERE q.enrolment_id = e.id AND q.ended_at IS NULL) AS open_commands
             FROM mdm_enrolments e LEFT JOIN mdm_certificates c
               ON c.fingerprint = (SELECT n.fingerprint FROM mdm_certificates n WHERE n.enrolment_id = e.id AND n.revoked_at IS NULL
                                   ORDER BY n.issued_at DESC, n.fingerprint LIMIT 1) ",
            $rest
        )
    };
}

/// Uses an invitation for an iPad that arrives for the first time. Gives the device it is: the one that the invitation names, the one it
/// was before, the one that was announced by its serial number, or a new one; or why it may not come.
macro_rules! admit {
    ($tx:expr, $by:expr, $id:expr, $new:expr, $name:expr, $before:expr) => {
        async {
            let invitation: Option<(Uuid, Option<Uuid>, Uuid, Option<Uuid>, Option<String>)> = sqlx::query_as(
                "UPDATE mdm_invitations SET uses_left = uses_left - 1
                 WHERE id = (SELECT invitation_id FROM mdm_certificates WHERE enrolment_id = $1 AND invitation_id IS NOT NULL
                             ORDER BY issued_at, fingerprint LIMIT 1) AND uses_left > 0
                 RETURNING id, device_id, room_id, group_id, serial")
                .bind($id).fetch_optional(&mut *$tx).await.map_err(Error::db("use an invitation"))?;
            let Some((invitation, wanted, room, group, only)) = invitation else {
                return Ok(Err("its invitation is used up or was taken back"));
            };
            if only.is_some_and(|only| only != $new.serial) {
                return Ok(Err("it says another serial number than at the door"));
            }
            if let Some(wanted) = wanted {
                let serial: Option<String> = sqlx::query_scalar("SELECT serial FROM devices WHERE id = $1 AND serial <> ''")
                    .bind(wanted).fetch_optional(&mut *$tx).await.map_err(Error::db("find a device"))?;
                if serial.is_some_and(|serial| serial != $new.serial) {
                    return Ok(Err("its invitation is for a device with another serial number"));
                }
            }
            // Neither a PC that was approved nor one that another iPad is.
            let announced: Option<Uuid> = sqlx::query_scalar(
                "SELECT d.id FROM devices d WHERE d.serial = $1 AND d.serial <> '' AND d.key_fingerprint IS NULL
                   AND NOT EXISTS (SELECT 1 FROM mdm_enrolments e WHERE e.device_id = d.id AND e.state <> 'left')
                 ORDER BY d.created_at LIMIT 1")
                .bind($new.serial.to_owned()).fetch_optional(&mut *$tx).await.map_err(Error::db("find a device"))?;
            let device = match wanted.or($before).or(announced) {
                Some(device) => device,
                None => {
                    let device = DeviceId::random();
                    let taken: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM devices WHERE name = $1")
                        .bind($name.to_string()).fetch_one(&mut *$tx).await.map_err(Error::db("find a device"))?;
                    let name = if taken == 0 { $name.clone() } else { second_name(&$name, device)? };
                    let wish = NewDevice { name, room: RoomId(room), desired_image: None, interfaces: Vec::new() };
                    insert_device!($tx, $by, device, &wish, None::<String>, "{}", $new.serial, "")?;
                    record!($tx, $by, "device", device, "created")?;
                    device.0
                }
            };
            if let Some(group) = group {
                sqlx::query("INSERT INTO device_groups (device_id, group_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                    .bind(device).bind(group).execute(&mut *$tx).await
                    .map_err(Error::db("put a device into a class"))?;
            }
            sqlx::query("INSERT INTO mdm_enrolments (id, invitation_id, serial, state, model, os_version, awaiting, account)
                         VALUES ($1, $2, $3, 'left', '', '', $4, (SELECT account FROM mdm_challenges WHERE enrolment_id = $1))")
                .bind($id).bind(invitation).bind($new.serial.to_owned()).bind(false)
                .execute(&mut *$tx).await.map_err(Error::db("enrol an iPad"))?;
            Ok::<Result<Uuid, &'static str>, Error>(Ok(device))
        }
        .await
    };
}

/// What an iPad says of itself that the rest of the inventory needs: its system, and its one card, unless that is somebody else's.
macro_rules! note_facts {
    ($tx:expr, $by:expr, $ipad:expr, $facts:expr) => {
        async {
            let card = $facts.card.map(|card| card.to_string());
            let before: Option<(Option<Uuid>, Option<String>, String, String)> =
                sqlx::query_as("SELECT device_id, card, model, os_version FROM mdm_enrolments WHERE id = $1")
                    .bind($ipad.0).fetch_optional(&mut *$tx).await.map_err($crate::Error::db("find an iPad"))?;
            let Some((device, old, model, os_version)) = before else { return Ok(()) };
            let same = |said: &String, known: &String| said.is_empty() || said == known;
            let same_card = card.is_none() || card == old;
            if same_card && same(&$facts.model, &model) && same(&$facts.os_version, &os_version) {
                return Ok(());
            }
            sqlx::query(
                "UPDATE mdm_enrolments SET model = CASE WHEN $1 = '' THEN model ELSE $1 END,
                   os_version = CASE WHEN $2 = '' THEN os_version ELSE $2 END, card = COALESCE($3, card) WHERE id = $4")
                .bind($facts.model.clone()).bind($facts.os_version.clone()).bind(card.clone()).bind($ipad.0)
                .execute(&mut *$tx).await.map_err($crate::Error::db("note what an iPad says"))?;
            let (Some(device), false) = (device, same_card) else { return Ok(()) };
            sqlx::query("DELETE FROM interfaces WHERE device_id = $1 AND mac = $2")
                .bind(device).bind(old.unwrap_or_default())
                .execute(&mut *$tx).await.map_err($crate::Error::db("replace a network card"))?;
            sqlx::query("INSERT INTO interfaces (mac, device_id, kind) VALUES ($1, $2, 'wlan') ON CONFLICT (mac) DO NOTHING")
                .bind(card).bind(device)
                .execute(&mut *$tx).await.map_err($crate::Error::db("add a network card"))?;
            record!($tx, $by, "device", $crate::DeviceId(device), "changed")?;
            Ok::<(), $crate::Error>(())
        }
        .await
    };
}
pub(super) use note_facts;

/// What waited for an iPad that enrols anew, or left, is over, and what it was told before means nothing.
macro_rules! forget_commands {
    ($tx:expr, $by:expr, $id:expr) => {
        async {
            sqlx::query(
                "UPDATE mdm_commands SET state = 'cancelled', ended_at = $1
                 WHERE enrolment_id = $2 AND ended_at IS NULL",
            )
            .bind($by.at.0)
            .bind($id)
            .execute(&mut *$tx)
            .await
            .map_err(Error::db("forget an iPad's commands"))?;
            sqlx::query("DELETE FROM ipad_apps WHERE enrolment_id = $1")
                .bind($id)
                .execute(&mut *$tx)
                .await
                .map_err(Error::db("forget what an iPad was told"))
        }
        .await
    };
}

macro_rules! leave {
    ($tx:expr, $by:expr, $id:expr) => {
        async {
            forget_commands!($tx, $by, $id)?;
            sqlx::query(
                "UPDATE mdm_certificates SET revoked_at = $1 WHERE enrolment_id = $2 AND revoked_at IS NULL",
            )
            .bind($by.at.0)
            .bind($id)
            .execute(&mut *$tx)
            .await
            .map_err(Error::db("revoke an iPad's certificates"))?;
            revoke_wlan!($tx, $by, $id)?;
            sqlx::query(
                "UPDATE mdm_enrolments SET state = 'left', push = NULL, unlock_token = NULL WHERE id = $1",
            )
            .bind($id)
            .execute(&mut *$tx)
            .await
            .map_err(Error::db("let an iPad go"))?;
            record!($tx, $by, "ipad", $id, "left")?;
            Ok::<(), Error>(())
        }
        .await
    };
}

impl Inventory {
    /// The iPads under management, those that left excepted, by serial number. A row that cannot be used costs only itself.
    ///
    /// # Errors
    /// The database failed.
    pub fn enrolments(&self) -> Answer<'_, (Vec<Enrolment>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<Row> = on_pool!(self, pool =>
                sqlx::query_as(select!("WHERE e.state <> 'left' ORDER BY e.serial, e.id")).fetch_all(pool).await)
            .map_err(Error::db("list iPads"))?;
            let (mut good, mut bad) = (Vec::with_capacity(rows.len()), Vec::new());
            for row in rows {
                match enrolment(row) {
                    Ok(enrolment) => good.push(enrolment),
                    Err(problem) => bad.push(problem),
                }
            }
            Ok((good, bad))
        })
    }

    /// One iPad.
    ///
    /// # Errors
    /// The database failed, or the row makes no sense.
    pub fn enrolment(&self, id: EnrolmentId) -> Answer<'_, Option<Enrolment>> {
        Box::pin(async move {
            let row: Option<Row> = on_pool!(self, pool =>
                sqlx::query_as(select!("WHERE e.id = $1")).bind(id.0).fetch_optional(pool).await)
            .map_err(Error::db("find an iPad"))?;
            row.map(enrolment).transpose()
        })
    }

    /// Whose certificate that is; `None` when it is unknown, revoked or over.
    ///
    /// # Errors
    /// The database failed.
    pub fn enrolment_of_certificate<'a>(
        &'a self,
        fingerprint: &'a str,
        now: UnixMillis,
    ) -> Answer<'a, Option<EnrolmentId>> {
        Box::pin(async move {
            let id: Option<Uuid> = on_pool!(self, pool => sqlx::query_scalar(
                "SELECT enrolment_id FROM mdm_certificates WHERE fingerprint = $1 AND revoked_at IS NULL AND ends_at > $2")
                .bind(fingerprint.to_owned()).bind(now.0).fetch_optional(pool).await)
            .map_err(Error::db("find a certificate"))?;
            Ok(id.map(EnrolmentId))
        })
    }

    /// An iPad says who it is: it becomes a device of the inventory, its earlier enrolments end, and nothing waits for it any more.
    /// Saying it again changes nothing.
    ///
    /// # Errors
    /// The database failed.
    pub fn mdm_arrive<'a>(&'a self, by: By<'a>, new: Arrival<'a>) -> Answer<'a, Arrived> {
        Box::pin(async move {
            let name: Hostname = device_name(new.serial, new.udid)?;
            in_transaction!(self, "let an iPad in", tx => {
                let certificate: Option<Uuid> = sqlx::query_scalar(
                    "SELECT enrolment_id FROM mdm_certificates WHERE fingerprint = $1 AND revoked_at IS NULL AND ends_at > $2")
                    .bind(new.fingerprint.to_owned()).bind(by.at.0).fetch_optional(&mut *tx).await
                    .map_err(Error::db("find a certificate"))?;
                let Some(id) = certificate else { return Ok(Arrived::Refused("its certificate is not valid")) };
                let known: Option<(Option<String>, Option<Uuid>, String)> = sqlx::query_as(
                    "SELECT udid, device_id, state FROM mdm_enrolments WHERE id = $1")
                    .bind(id).fetch_optional(&mut *tx).await.map_err(Error::db("find an iPad"))?;
                if let Some((udid, _, state)) = &known {
                    if udid.as_deref() != Some(new.udid) {
                        return Ok(Arrived::Refused("its certificate belongs to another device"));
                    }
                    if state == "left" {
                        return Ok(Arrived::Refused("it enrolled anew since"));
                    }
                }
                // Who was this hardware before?
                let before: Option<(Uuid, Option<Uuid>, String)> = sqlx::query_as(
                    "SELECT id, device_id, serial FROM mdm_enrolments WHERE udid = $1 AND id <> $2 AND state IN ('authenticated', 'enrolled')")
                    .bind(new.udid.to_owned()).bind(id).fetch_optional(&mut *tx).await
                    .map_err(Error::db("find an iPad"))?;
                // Whoever has a link can say to be any iPad. To take the place of one it takes both of its numbers.
                if before.as_ref().is_some_and(|(_, _, serial)| serial != new.serial) {
                    return Ok(Arrived::Refused("an iPad with this UDID and another serial number is enrolled"));
                }
                let device = match known {
                    Some((_, device, _)) => device,
                    None => match admit!(tx, by, id, new, name, before.as_ref().and_then(|(_, device, _)| *device))? {
                        Ok(device) => Some(device),
                        Err(why) => return Ok(Arrived::Refused(why)),
                    },
                };
                if let Some((before, _, _)) = before {
                    leave!(tx, by, before)?;
                }
                forget_commands!(tx, by, id)?;
                sqlx::query("UPDATE mdm_enrolments SET device_id = $1, udid = $2, serial = $3, state = 'authenticated',
                               model = $4, os_version = $5, push = NULL, declared = NULL, last_seen = $6 WHERE id = $7")
                    .bind(device).bind(new.udid.to_owned()).bind(new.serial.to_owned()).bind(new.model.to_owned())
                    .bind(new.os_version.to_owned()).bind(by.at.0).bind(id)
                    .execute(&mut *tx).await.map_err(Error::db("enrol an iPad"))?;
                sqlx::query("UPDATE devices SET serial = $1 WHERE id = $2 AND serial = ''")
                    .bind(new.serial.to_owned()).bind(device)
                    .execute(&mut *tx).await.map_err(Error::db("note a serial number"))?;
                record!(tx, by, "ipad", id, "authenticated")?;
                Ok(Arrived::Welcome(EnrolmentId(id)))
            })
        })
    }

    /// An iPad says how it is reached (`TokenUpdate`): from the first time on it is under management.
    ///
    /// # Errors
    /// There is no such iPad, it left, or the database failed.
    pub fn mdm_reachable<'a>(&'a self, by: By<'a>, id: EnrolmentId, how: Reachable<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "note how an iPad is reached", tx => {
                let state: Option<String> = sqlx::query_scalar("SELECT state FROM mdm_enrolments WHERE id = $1 AND state <> 'left'")
                    .bind(id.0).fetch_optional(&mut *tx).await.map_err(Error::db("find an iPad"))?;
                let Some(state) = state else { return Err(Error::NotFound { what: "iPad", key: id.to_string() }) };
                sqlx::query(
                    "UPDATE mdm_enrolments SET state = 'enrolled', push = $1, unlock_token = COALESCE($2, unlock_token),
                       awaiting = $3, enrolled_at = COALESCE(enrolled_at, $4), last_seen = $4 WHERE id = $5")
                    .bind(how.push.to_owned()).bind(how.unlock_token.map(ToOwned::to_owned)).bind(how.awaiting)
                    .bind(by.at.0).bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::db("note how an iPad is reached"))?;
                record!(tx, by, "ipad", id, "reachable")?;
                if state == "authenticated" || how.awaiting {
                    for new in how.welcome {
                        supersede!(tx, by, new)?;
                        insert_command!(tx, by, CommandId::random(), new)?;
                    }
                    record!(tx, by, "ipad", id, "queued")?;
                }
                Ok(())
            })
        })
    }

    /// An iPad leaves (`CheckOut`), or is let go: its certificates end. The device stays.
    ///
    /// # Errors
    /// The database failed.
    pub fn mdm_leave<'a>(&'a self, by: By<'a>, id: EnrolmentId) -> Answer<'a, ()> {
        Box::pin(async move { in_transaction!(self, "let an iPad go", tx => leave!(tx, by, id.0)) })
    }

    /// Only the newest certificate of an iPad holds, once that one was used.
    ///
    /// # Errors
    /// The database failed.
    pub fn revoke_older_certificates<'a>(
        &'a self,
        by: By<'a>,
        id: EnrolmentId,
        fingerprint: &'a str,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "revoke old certificates", tx => {
                sqlx::query("UPDATE mdm_certificates SET revoked_at = $1
                             WHERE enrolment_id = $2 AND fingerprint <> $3 AND revoked_at IS NULL")
                    .bind(by.at.0).bind(id.0).bind(fingerprint.to_owned())
                    .execute(&mut *tx).await.map_err(Error::db("revoke old certificates"))?;
                record!(tx, by, "ipad", id, "renewed")?;
                Ok(())
            })
        })
    }

    /// When iPads spoke last, many at once: this is no change that anybody has to hear of.
    ///
    /// # Errors
    /// The database failed.
    pub fn note_ipads_seen<'a>(&'a self, seen: &'a [(EnrolmentId, UnixMillis)]) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "note when iPads spoke", tx => {
                for (id, at) in seen {
                    sqlx::query("UPDATE mdm_enrolments SET last_seen = $1 WHERE id = $2").bind(at.0).bind(id.0)
                        .execute(&mut *tx).await.map_err(Error::db("note when iPads spoke"))?;
                    sqlx::query("UPDATE devices SET last_seen = $1 WHERE id = (SELECT device_id FROM mdm_enrolments WHERE id = $2)")
                        .bind(at.0).bind(id.0)
                        .execute(&mut *tx).await.map_err(Error::db("note when iPads spoke"))?;
                }
                Ok(())
            })
        })
    }

    /// The push service does not know this address of an iPad any more. One that came since stays.
    ///
    /// # Errors
    /// The database failed.
    pub fn forget_push<'a>(&'a self, by: By<'a>, id: EnrolmentId, push: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "forget a push address", tx => {
                sqlx::query("UPDATE mdm_enrolments SET push = NULL WHERE id = $1 AND push = $2")
                    .bind(id.0).bind(push.to_owned())
                    .execute(&mut *tx).await.map_err(Error::db("forget a push address"))?;
                record!(tx, by, "ipad", id, "unreachable")?;
                Ok(())
            })
        })
    }

    /// The sealed token that takes an iPad's passcode away.
    ///
    /// # Errors
    /// The database failed.
    pub fn sealed_unlock_token(&self, id: EnrolmentId) -> Answer<'_, Option<String>> {
        Box::pin(async move {
            let token: Option<Option<String>> = on_pool!(self, pool =>
                sqlx::query_scalar("SELECT unlock_token FROM mdm_enrolments WHERE id = $1").bind(id.0).fetch_optional(pool).await)
            .map_err(Error::db("find an unlock token"))?;
            Ok(token.flatten())
        })
    }

    /// Keeps what an iPad said of itself.
    ///
    /// # Errors
    /// There is no such iPad, or the database failed.
    pub fn keep_ipad_report<'a>(
        &'a self,
        by: By<'a>,
        id: EnrolmentId,
        kind: &'a str,
        body: &'a serde_json::Value,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "keep an iPad's report", tx => {
                sqlx::query("INSERT INTO mdm_reports (enrolment_id, kind, body, at) VALUES ($1, $2, $3, $4)
                             ON CONFLICT (enrolment_id, kind) DO UPDATE SET body = excluded.body, at = excluded.at")
                    .bind(id.0).bind(kind.to_owned()).bind(body.to_string()).bind(by.at.0)
                    .execute(&mut *tx).await.map_err(Error::reference("keep an iPad's report"))?;
                record!(tx, by, "ipad", id, "reported")?;
                Ok(())
            })
        })
    }

    /// What an iPad said of itself.
    ///
    /// # Errors
    /// The database failed.
    pub fn ipad_reports(&self, id: EnrolmentId) -> Answer<'_, Vec<Report>> {
        Box::pin(async move {
            let rows: Vec<(String, String, i64)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT kind, body, at FROM mdm_reports WHERE enrolment_id = $1 ORDER BY kind").bind(id.0).fetch_all(pool).await)
            .map_err(Error::db("list an iPad's reports"))?;
            Ok(rows
                .into_iter()
                .map(|(kind, body, at)| Report {
                    kind,
                    body: serde_json::from_str(&body).unwrap_or_default(),
                    at: UnixMillis(at),
                })
                .collect())
        })
    }
}

/// `ipad-` and the serial number, or the end of the UDID.
fn device_name(serial: &str, udid: &str) -> Result<Hostname> {
    let letters = |text: &str| -> String { text.chars().filter(char::is_ascii_alphanumeric).collect() };
    let (serial, udid) = (letters(serial), letters(udid));
    let rest = if serial.is_empty() { udid } else { serial };
    let rest: String = rest.chars().take(40).collect();
    format!("ipad-{rest}")
        .parse()
        .map_err(|_| Error::Conflict("this iPad has neither serial number nor UDID".into()))
}

/// The same for one whose name is taken.
fn second_name(name: &Hostname, device: DeviceId) -> Result<Hostname> {
    let id: String = device.to_string().chars().take(6).collect();
    format!("{name}-{id}")
        .parse()
        .map_err(|_| Error::Conflict(format!("there is a device named {name} already")))
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    device_id: Option<Uuid>,
    udid: Option<String>,
    serial: String,
    state: String,
    model: String,
    os_version: String,
    account: Option<String>,
    push: Option<String>,
    awaiting: bool,
    enrolled_at: Option<i64>,
    last_seen: Option<i64>,
    fingerprint: Option<String>,
    ends_at: Option<i64>,
    certificates: i64,
    open_commands: i64,
}

fn enrolment(row: Row) -> Result<Enrolment> {
    let states = [EnrolmentState::Authenticated, EnrolmentState::Enrolled, EnrolmentState::Left];
    let state = states.into_iter().find(|state| state.text() == row.state);
    Ok(Enrolment {
        id: EnrolmentId(row.id),
        device: row.device_id.map(DeviceId),
        udid: row.udid,
        serial: row.serial,
        state: state
            .ok_or_else(|| Error::row("mdm_enrolments", row.id)(format!("unknown state {:?}", row.state)))?,
        model: row.model,
        os_version: row.os_version,
        account: row.account,
        certificate: row.fingerprint,
        certificates: u32::try_from(row.certificates).unwrap_or(0),
        certificate_ends_at: row.ends_at.map(UnixMillis),
        push: row.push,
        awaiting: row.awaiting,
        enrolled_at: row.enrolled_at.map(UnixMillis),
        last_seen: row.last_seen.map(UnixMillis),
        open_commands: u32::try_from(row.open_commands).unwrap_or(0),
    })
}
