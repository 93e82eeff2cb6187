//! Rules, rooms, groups and confirmed levels in the database.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    Book, Confirmed, GateDevice, GatedNetwork, Layer, Level, NewRule, Of, Place, RoomControl, RoomGate, Rule,
    Setting, Subject, Target,
};
use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::users::Role;
use crate::{
    Answer, By, DeviceId, Error, ExamId, FilterId, GroupId, Inventory, ListId, NetworkId, ParseError, Result,
    RoomId, RuleId, UnixMillis, UserId,
};

pub(super) type RuleRow =
    (Uuid, String, String, Uuid, String, Option<Uuid>, i64, Option<i64>, String, i64, Option<Uuid>);
pub(crate) type PlaceRow = (Uuid, Option<String>, Option<Uuid>, Option<Uuid>);
type DeviceRow = (i64, Uuid, String, Uuid, Option<Uuid>, Option<i64>, Option<Uuid>, bool, Option<String>);
type CardRow = (Uuid, String, Option<String>);
type NetworkRow = (Uuid, String, String, String, Option<Uuid>, Option<Uuid>, bool);

/// Ends rules at `$1` that would hold longer; one that has not begun never does. More conditions follow.
macro_rules! end_at {
    () => {
        "UPDATE gate_rules SET ends_at = CASE WHEN starts_at > $1 THEN starts_at ELSE $1 END
         WHERE (ends_at IS NULL OR ends_at > $1)"
    };
}
pub(super) use end_at;

/// Reads rules; conditions follow.
macro_rules! select_rules {
    () => {
        "SELECT id, layer, target_kind, target_id, level, list_id, starts_at, ends_at, created_by, created_at, exam_id
         FROM gate_rules"
    };
}
pub(super) use select_rules;

/// Demands inside a running transaction that a target is there; gives its parts.
macro_rules! require_target {
    ($tx:expr, $target:expr) => {{
        let (kind, id) = target_parts($target);
        // The table's name is one of the literals of `table_of`.
        let sql = sqlx::AssertSqlSafe(format!("SELECT 1 FROM {} WHERE id = $1", table_of($target)));
        let there: Option<(i32,)> = sqlx::query_as(sql)
            .bind(id)
            .fetch_optional(&mut *$tx)
            .await
            .map_err(Error::db("find what a rule is about"))?;
        if there.is_none() {
            return Err(Error::NotFound { what: kind, key: id.to_string() });
        }
        (kind, id)
    }};
}
pub(crate) use require_target;

/// Makes rules inside a running transaction, each with its id; all of an exam, or of none.
macro_rules! insert_rules {
    ($tx:expr, $by:expr, $rules:expr, $ids:expr, $exam:expr) => {
        for (rule, id) in $rules.iter().zip(&$ids) {
            let (kind, target) = require_target!($tx, rule.target);
            if rule.layer != Layer::Exam {
                sqlx::query(
                    concat!(end_at!(), " AND layer = $2 AND target_kind = $3 AND target_id = $4 AND starts_at < $5"))
                    .bind(rule.starts_at.0).bind(rule.layer.text()).bind(kind).bind(target)
                    .bind(rule.ends_at.map_or(i64::MAX, |ends| ends.0))
                    .execute(&mut *$tx).await.map_err(Error::db("end older rules"))?;
            }
            sqlx::query(
                "INSERT INTO gate_rules (id, layer, target_kind, target_id, level, list_id, starts_at, ends_at, created_by, created_at, exam_id)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
                .bind(id.0).bind(rule.layer.text()).bind(kind).bind(target).bind(rule.setting.level.text())
                .bind(rule.setting.list.map(|list| list.0)).bind(rule.starts_at.0)
                .bind(rule.ends_at.map(|ends| ends.0)).bind($by.actor.to_owned()).bind($by.at.0).bind($exam.map(|exam| exam.0))
                .execute(&mut *$tx).await
                .map_err(Error::unique("make a rule", || "this rule exists already".into()))?;
            record!($tx, $by, "rule", id, format!("{} {}", rule.layer.text(), rule.setting.level))?;
        }
    };
}
pub(super) use insert_rules;

impl Inventory {
    /// Makes rules, all or none. A rule of a teacher, the timetable or a lock takes the place of what the same layer said of the same
    /// target for the same time.
    ///
    /// # Errors
    /// A rule ends before it begins, there are too many, a target does not exist, or the database failed.
    pub fn add_rules<'a>(&'a self, by: By<'a>, rules: &'a [NewRule]) -> Answer<'a, Vec<RuleId>> {
        Box::pin(async move {
            check(rules)?;
            let ids: Vec<RuleId> = rules.iter().map(|_| RuleId::random()).collect();
            in_transaction!(self, "make rules", tx => {
                insert_rules!(tx, by, rules, ids, None::<ExamId>);
                Ok(())
            })?;
            Ok(ids)
        })
    }

    /// Ends what a layer says of a target, now and later. Returns how many rules that were.
    ///
    /// # Errors
    /// The database failed.
    pub fn end_rules<'a>(&'a self, by: By<'a>, layer: Layer, target: Target) -> Answer<'a, u64> {
        Box::pin(async move {
            let (kind, id) = target_parts(target);
            in_transaction!(self, "end rules", tx => {
                let done = sqlx::query(
                    concat!(end_at!(), " AND layer = $2 AND target_kind = $3 AND target_id = $4"))
                    .bind(by.at.0).bind(layer.text()).bind(kind).bind(id)
                    .execute(&mut *tx).await.map_err(Error::db("end rules"))?.rows_affected();
                if done > 0 {
                    record!(tx, by, "rule", id, format!("{} ended", layer.text()))?;
                }
                Ok(done)
            })
        })
    }

    /// Ends one rule.
    ///
    /// # Errors
    /// There is no such rule or it ended already, or the database failed.
    pub fn end_rule<'a>(&'a self, by: By<'a>, id: RuleId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "end a rule", tx => {
                let done = sqlx::query(concat!(end_at!(), " AND id = $2"))
                    .bind(by.at.0).bind(id.0).execute(&mut *tx).await.map_err(Error::db("end a rule"))?;
                Error::unless_found(done.rows_affected(), "rule", id)?;
                record!(tx, by, "rule", id, "ended")?;
                Ok(())
            })
        })
    }

    /// Everything that is said at `now` or later; of the timetable, the occurrences of the next days. A row that cannot be used is reported in the second list and costs only itself.
    ///
    /// # Errors
    /// The database failed.
    pub fn gate_book(&self, now: UnixMillis) -> Answer<'_, (Book, Vec<Error>)> {
        Box::pin(async move {
            let (rules, rooms, groups): (Vec<RuleRow>, Vec<PlaceRow>, Vec<PlaceRow>) = on_pool!(self, pool => {
                let rules = sqlx::query_as(
                    concat!(select_rules!(), " WHERE ends_at IS NULL OR ends_at > $1"))
                    .bind(now.0).fetch_all(pool).await.map_err(Error::db("list rules"))?;
                let rooms = sqlx::query_as(
                    "SELECT id, level, list_id, filter_id FROM rooms WHERE level IS NOT NULL OR filter_id IS NOT NULL")
                    .fetch_all(pool).await.map_err(Error::db("list rooms"))?;
                let groups = sqlx::query_as(
                    "SELECT id, level, list_id, filter_id FROM school_groups WHERE level IS NOT NULL OR filter_id IS NOT NULL")
                    .fetch_all(pool).await.map_err(Error::db("list groups"))?;
                (rules, rooms, groups)
            });
            let mut problems = Vec::new();
            let mut rules: Vec<Rule> =
                rules.into_iter().filter_map(|row| kept(rule(row), &mut problems)).collect();
            rules.extend(self.timetable_rules(now, &mut problems).await?);
            let mut places = |table, rows: Vec<PlaceRow>| {
                let good = rows.into_iter().filter_map(|row| kept(place(table, row), &mut problems));
                good.collect::<Vec<(Uuid, Place)>>()
            };
            let rooms = places("rooms", rooms).into_iter().map(|(id, place)| (RoomId(id), place)).collect();
            let groups =
                places("school_groups", groups).into_iter().map(|(id, place)| (GroupId(id), place)).collect();
            Ok((Book::new(rules, rooms, groups), problems))
        })
    }

    /// The newest rules about a target, those that ended included.
    ///
    /// # Errors
    /// The database failed, or a row makes no sense.
    pub fn rule_history(&self, target: Target, limit: u32) -> Answer<'_, Vec<Rule>> {
        Box::pin(async move {
            let (kind, id) = target_parts(target);
            let rows: Vec<RuleRow> = on_pool!(self, pool => sqlx::query_as(concat!(select_rules!(),
                " WHERE target_kind = $1 AND target_id = $2 ORDER BY created_at DESC, id LIMIT $3"))
                .bind(kind).bind(id).bind(i64::from(limit)).fetch_all(pool).await)
            .map_err(Error::db("read the history of rules"))?;
            rows.into_iter().map(rule).collect()
        })
    }

    /// What the gate needs to know of devices, in the order of their numbers. A row that cannot be used is reported in the second list
    /// and costs only itself.
    ///
    /// # Errors
    /// The database failed.
    pub fn gate_devices(&self, of: Of) -> Answer<'_, (Vec<GateDevice>, Vec<Error>)> {
        Box::pin(async move {
            type Pairs = Vec<(Uuid, Uuid)>;
            let (ids, key) = ids(of);
            // All of these are made of the literals of `ids`.
            let devices = sqlx::AssertSqlSafe(format!(
                "SELECT n.number, d.id, d.name, d.room_id, v.room_id, v.ends_at, d.owner_id, d.staff, u.role
                 FROM devices d JOIN device_numbers n ON n.device_id = d.id
                 LEFT JOIN visits v ON v.device_id = d.id LEFT JOIN users u ON u.id = d.owner_id
                 WHERE d.id IN ({ids}) ORDER BY n.number"
            ));
            let cards = sqlx::AssertSqlSafe(format!(
                "SELECT device_id, mac, reserved_ip FROM interfaces WHERE device_id IN ({ids}) ORDER BY mac"
            ));
            let members = sqlx::AssertSqlSafe(format!(
                "SELECT user_id, group_id FROM members
                 WHERE user_id IN (SELECT owner_id FROM devices WHERE id IN ({ids})) ORDER BY group_id"
            ));
            let groups = sqlx::AssertSqlSafe(format!(
                "SELECT device_id, group_id FROM device_groups WHERE device_id IN ({ids}) ORDER BY group_id"
            ));
            let (devices, cards, members, groups): (Vec<DeviceRow>, Vec<CardRow>, Pairs, Pairs) = on_pool!(self, pool => {
                let devices = sqlx::query_as(devices).bind(key).fetch_all(pool).await.map_err(Error::db("list devices"))?;
                let cards = sqlx::query_as(cards).bind(key).fetch_all(pool).await.map_err(Error::db("list interfaces"))?;
                let members = sqlx::query_as(members).bind(key).fetch_all(pool).await
                    .map_err(Error::db("list members of groups"))?;
                let groups = sqlx::query_as(groups).bind(key).fetch_all(pool).await
                    .map_err(Error::db("list devices of groups"))?;
                (devices, cards, members, groups)
            });
            let mut problems = Vec::new();
            let mut cards_of: HashMap<Uuid, Vec<_>> = HashMap::new();
            for row in cards {
                let device = row.0;
                cards_of.entry(device).or_default().extend(kept(card(row), &mut problems));
            }
            let (members, groups) = (by_first(members), by_first(groups));
            let devices = devices.into_iter().filter_map(|row| {
                let cards = cards_of.remove(&row.1).unwrap_or_default();
                kept(device(row, cards, &members, &groups), &mut problems)
            });
            let devices = devices.collect();
            Ok((devices, problems))
        })
    }

    /// The networks that the gate guards, by address.
    ///
    /// # Errors
    /// The database failed. Rows that make no sense come in the second list.
    pub fn gated_networks(&self) -> Answer<'_, (Vec<GatedNetwork>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<NetworkRow> = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, name, cidr, level, list_id, filter_id, nat FROM networks WHERE level IS NOT NULL")
                .fetch_all(pool).await)
            .map_err(Error::db("list networks"))?;
            let mut problems = Vec::new();
            let mut good: Vec<GatedNetwork> =
                rows.into_iter().filter_map(|row| kept(network(row), &mut problems)).collect();
            good.sort_by_key(|network| network.cidr.network());
            Ok((good, problems))
        })
    }

    /// Says what holds in a network where nothing else is said; without a setting the gate leaves the network alone.
    ///
    /// # Errors
    /// There is no such network, filter or list, or the database failed.
    pub fn set_network_gate<'a>(
        &'a self,
        by: By<'a>,
        id: NetworkId,
        setting: Option<Setting>,
        filter: Option<FilterId>,
        nat: bool,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "save what holds in a network", tx => {
                let done = sqlx::query("UPDATE networks SET level = $1, list_id = $2, filter_id = $3, nat = $4 WHERE id = $5")
                    .bind(setting.map(|s| s.level.text())).bind(setting.and_then(|s| s.list).map(|l| l.0))
                    .bind(filter.map(|f| f.0)).bind(nat).bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::reference("save what holds in a network"))?;
                Error::unless_found(done.rows_affected(), "network", id)?;
                record!(tx, by, "network", id, "gate set")?;
                Ok(())
            })
        })
    }

    /// Says what holds in a room at ordinary times (without a setting, what its groups and network say) and who may change it.
    ///
    /// # Errors
    /// There is no such room, list or filter, or the database failed.
    pub fn set_room_gate<'a>(&'a self, by: By<'a>, id: RoomId, gate: RoomGate) -> Answer<'a, ()> {
        Box::pin(async move {
            let RoomGate { place: Place { setting, filter }, control } = gate;
            in_transaction!(self, "save what holds in a room", tx => {
                let done = sqlx::query("UPDATE rooms SET level = $1, list_id = $2, filter_id = $3, control = $4 WHERE id = $5")
                    .bind(setting.map(|s| s.level.text())).bind(setting.and_then(|s| s.list).map(|l| l.0))
                    .bind(filter.map(|f| f.0)).bind(control.text()).bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::reference("save what holds in a room"))?;
                Error::unless_found(done.rows_affected(), "room", id)?;
                record!(tx, by, "room", id, "gate set")?;
                Ok(())
            })
        })
    }

    /// What a room says, and who may say something else.
    ///
    /// # Errors
    /// There is no such room, the row makes no sense, or the database failed.
    pub fn room_gate(&self, id: RoomId) -> Answer<'_, RoomGate> {
        Box::pin(async move {
            type Row = (Option<String>, Option<Uuid>, Option<Uuid>, String);
            let row: Option<Row> = on_pool!(self, pool => sqlx::query_as(
                "SELECT level, list_id, filter_id, control FROM rooms WHERE id = $1").bind(id.0).fetch_optional(pool).await)
            .map_err(Error::db("find a room"))?;
            let (level, list, filter, control) =
                row.ok_or(Error::NotFound { what: "room", key: id.to_string() })?;
            let bad = Error::row("rooms", id);
            let control = RoomControl::ALL.into_iter().find(|known| known.text() == control);
            Ok(RoomGate {
                place: place("rooms", (id.0, level, list, filter))?.1,
                control: control.ok_or_else(|| bad("unknown control".into()))?,
            })
        })
    }

    /// Says whose a device is, and whether it is the staff's.
    ///
    /// # Errors
    /// There is no such device or person, or the database failed.
    pub fn set_owner<'a>(
        &'a self,
        by: By<'a>,
        id: DeviceId,
        owner: Option<UserId>,
        staff: bool,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "save whose a device is", tx => {
                let done = sqlx::query("UPDATE devices SET owner_id = $1, staff = $2 WHERE id = $3")
                    .bind(owner.map(|o| o.0)).bind(staff).bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::reference("save whose a device is"))?;
                Error::unless_found(done.rows_affected(), "device", id)?;
                record!(tx, by, "device", id, "owner set")?;
                Ok(())
            })
        })
    }

    /// Lets a device belong to another room for a while, or (without one) to its own again.
    ///
    /// # Errors
    /// There is no such device or room, or the database failed.
    pub fn set_visit<'a>(
        &'a self,
        by: By<'a>,
        id: DeviceId,
        visit: Option<(RoomId, UnixMillis)>,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "let a device belong to another room", tx => {
                match visit {
                    Some((room, ends)) => sqlx::query(
                        "INSERT INTO visits (device_id, room_id, ends_at) VALUES ($1, $2, $3)
                         ON CONFLICT (device_id) DO UPDATE SET room_id = excluded.room_id, ends_at = excluded.ends_at, wlan = 0")
                        .bind(id.0).bind(room.0).bind(ends.0).execute(&mut *tx).await
                        .map_err(Error::reference("let a device belong to another room"))?,
                    None => sqlx::query("DELETE FROM visits WHERE device_id = $1").bind(id.0)
                        .execute(&mut *tx).await.map_err(Error::db("let a device belong to its room again"))?,
                };
                record!(tx, by, "device", id, if visit.is_some() { "visits" } else { "went back" })?;
                Ok(())
            })
        })
    }

    /// Writes down what the kernel was read to enforce.
    ///
    /// # Errors
    /// The database failed. A device that is gone is left out.
    pub fn confirm_levels<'a>(
        &'a self,
        by: By<'a>,
        levels: &'a [(DeviceId, Level, Option<UnixMillis>)],
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            if levels.is_empty() {
                return Ok(());
            }
            in_transaction!(self, "write down confirmed levels", tx => {
                for part in levels.chunks(ROWS_PER_STATEMENT) {
                    let mut sql = sqlx::QueryBuilder::new("WITH new (device_id, level, ends_at, confirmed_at) AS (");
                    sql.push_values(part, |mut row, (device, level, ends)| {
                        row.push_bind(device.0).push_bind(level.text()).push_bind(ends.map(|e| e.0)).push_bind(by.at.0);
                    });
                    sql.push(
                        ") INSERT INTO gate_confirmed (device_id, level, ends_at, confirmed_at)
                         SELECT n.device_id, n.level, n.ends_at, n.confirmed_at FROM new n JOIN devices d ON d.id = n.device_id WHERE TRUE
                         ON CONFLICT (device_id) DO UPDATE SET level = excluded.level, ends_at = excluded.ends_at,
                         confirmed_at = excluded.confirmed_at");
                    sql.build().execute(&mut *tx).await.map_err(Error::db("write down confirmed levels"))?;
                }
                record!(tx, by, "gate", levels.len(), "confirmed")?;
                Ok(())
            })
        })
    }

    /// Forgets what was written down of these devices: the gate does not guard them any more.
    ///
    /// # Errors
    /// The database failed; then nothing was forgotten.
    pub fn forget_levels<'a>(&'a self, by: By<'a>, devices: &'a [DeviceId]) -> Answer<'a, ()> {
        Box::pin(async move {
            if devices.is_empty() {
                return Ok(());
            }
            in_transaction!(self, "forget confirmed levels", tx => {
                for part in devices.chunks(ROWS_PER_STATEMENT) {
                    let mut sql = sqlx::QueryBuilder::new("DELETE FROM gate_confirmed WHERE device_id IN (");
                    let mut ids = sql.separated(", ");
                    part.iter().for_each(|device| {
                        ids.push_bind(device.0);
                    });
                    sql.push(")");
                    sql.build().execute(&mut *tx).await.map_err(Error::db("forget confirmed levels"))?;
                }
                record!(tx, by, "gate", devices.len(), "forgotten")?;
                Ok(())
            })
        })
    }

    /// What the kernel was last read to enforce.
    ///
    /// # Errors
    /// The database failed, or a row makes no sense.
    pub fn confirmed_levels(&self, of: Of) -> Answer<'_, HashMap<DeviceId, Confirmed>> {
        Box::pin(async move {
            let (ids, key) = ids(of);
            // Made of a literal of `ids`.
            let sql = sqlx::AssertSqlSafe(format!(
                "SELECT device_id, level, ends_at, confirmed_at FROM gate_confirmed WHERE device_id IN ({ids})"
            ));
            let rows: Vec<(Uuid, String, Option<i64>, i64)> =
                on_pool!(self, pool => sqlx::query_as(sql).bind(key).fetch_all(pool).await)
                    .map_err(Error::db("read confirmed levels"))?;
            rows.into_iter()
                .map(|(id, level, ends, at)| {
                    let level = level
                        .parse()
                        .map_err(|e: ParseError| Error::row("gate_confirmed", id)(e.to_string()))?;
                    Ok((DeviceId(id), Confirmed { level, ends_at: ends.map(UnixMillis), at: UnixMillis(at) }))
                })
                .collect()
        })
    }
}

pub(super) fn check(rules: &[NewRule]) -> Result<()> {
    if rules.len() > RULES_AT_ONCE_MAX {
        return Err(Error::Conflict(format!(
            "{} rules at once are more than {RULES_AT_ONCE_MAX}",
            rules.len()
        )));
    }
    if rules.iter().any(|rule| rule.ends_at.is_some_and(|ends| ends <= rule.starts_at)) {
        return Err(Error::Conflict("the rule would end before it begins".into()));
    }
    Ok(())
}

/// A query for the ids of devices, and what `$1` stands for in it.
fn ids(of: Of) -> (&'static str, Uuid) {
    match of {
        Of::School => ("SELECT id FROM devices WHERE $1 IS NOT NULL", Uuid::nil()),
        Of::Ipads => (
            "SELECT device_id FROM mdm_enrolments WHERE state <> 'left' AND device_id IS NOT NULL AND $1 IS NOT NULL",
            Uuid::nil(),
        ),
        Of::Target(Target::Room(id)) => (
            "SELECT id FROM devices WHERE room_id = $1 UNION SELECT device_id FROM visits WHERE room_id = $1",
            id.0,
        ),
        Of::Target(Target::Group(id)) => (
            "SELECT device_id FROM device_groups WHERE group_id = $1
             UNION SELECT d.id FROM devices d JOIN members m ON m.user_id = d.owner_id WHERE m.group_id = $1",
            id.0,
        ),
        Of::Target(Target::Device(id)) => ("SELECT id FROM devices WHERE id = $1", id.0),
        Of::Target(Target::User(id)) => ("SELECT id FROM devices WHERE owner_id = $1", id.0),
    }
}

pub(crate) fn target_parts(target: Target) -> (&'static str, Uuid) {
    match target {
        Target::Room(id) => ("room", id.0),
        Target::Group(id) => ("group", id.0),
        Target::Device(id) => ("device", id.0),
        Target::User(id) => ("user", id.0),
    }
}

pub(crate) fn parse_target(kind: &str, id: Uuid) -> Result<Target, String> {
    Ok(match kind {
        "room" => Target::Room(RoomId(id)),
        "group" => Target::Group(GroupId(id)),
        "device" => Target::Device(DeviceId(id)),
        "user" => Target::User(UserId(id)),
        other => return Err(format!("unknown target {other:?}")),
    })
}

pub(crate) fn table_of(target: Target) -> &'static str {
    match target {
        Target::Room(_) => "rooms",
        Target::Group(_) => "school_groups",
        Target::Device(_) => "devices",
        Target::User(_) => "users",
    }
}

/// The value, or its problem in the list.
pub(crate) fn kept<T>(read: Result<T>, problems: &mut Vec<Error>) -> Option<T> {
    read.map_err(|problem| problems.push(problem)).ok()
}

fn by_first(pairs: Vec<(Uuid, Uuid)>) -> HashMap<Uuid, Vec<GroupId>> {
    let mut map: HashMap<Uuid, Vec<GroupId>> = HashMap::new();
    for (key, group) in pairs {
        map.entry(key).or_default().push(GroupId(group));
    }
    map
}

pub(super) fn rule(row: RuleRow) -> Result<Rule> {
    let (id, layer, kind, target, level, list, starts_at, ends_at, created_by, created_at, exam) = row;
    let bad = Error::row("gate_rules", id);
    Ok(Rule {
        id: RuleId(id),
        layer: Layer::ALL
            .into_iter()
            .find(|known| known.text() == layer)
            .ok_or_else(|| bad(format!("unknown layer {layer:?}")))?,
        target: parse_target(&kind, target).map_err(&bad)?,
        setting: setting(&level, list).map_err(bad)?,
        exam: exam.map(ExamId),
        starts_at: UnixMillis(starts_at),
        ends_at: ends_at.map(UnixMillis),
        created_by,
        created_at: UnixMillis(created_at),
    })
}

pub(super) fn setting(level: &str, list: Option<Uuid>) -> Result<Setting, String> {
    let level = level.parse().map_err(|e: ParseError| e.to_string())?;
    Ok(Setting { level, list: list.map(ListId) })
}

pub(crate) fn place(table: &'static str, (id, level, list, filter): PlaceRow) -> Result<(Uuid, Place)> {
    let setting = level.map(|level| setting(&level, list)).transpose().map_err(Error::row(table, id))?;
    Ok((id, Place { setting, filter: filter.map(FilterId) }))
}

fn card((device, mac, reserved): CardRow) -> Result<(crate::MacAddr, Option<std::net::Ipv4Addr>)> {
    let bad = Error::row("interfaces", format!("{mac} of {device}"));
    let mac = mac.parse().map_err(|e: ParseError| bad(e.to_string()))?;
    let reserved =
        reserved.map(|ip| ip.parse().map_err(|_| bad(format!("{ip:?} is no IPv4 address")))).transpose()?;
    Ok((mac, reserved))
}

fn device(
    row: DeviceRow,
    cards: Vec<(crate::MacAddr, Option<std::net::Ipv4Addr>)>,
    members: &HashMap<Uuid, Vec<GroupId>>,
    groups: &HashMap<Uuid, Vec<GroupId>>,
) -> Result<GateDevice> {
    let (number, id, name, room, visited, visit_ends, owner, staff, role) = row;
    let bad = Error::row("devices", id);
    let staff = staff || role.is_some_and(|role| role.parse::<Role>().is_ok_and(Role::is_staff));
    let mut all: Vec<GroupId> = groups.get(&id).cloned().unwrap_or_default();
    all.extend(owner.and_then(|owner| members.get(&owner)).into_iter().flatten());
    all.sort_unstable();
    all.dedup();
    Ok(GateDevice {
        number: u32::try_from(number).map_err(|_| bad(format!("number {number} is too large")))?,
        name: name.parse().map_err(|e: ParseError| bad(e.to_string()))?,
        subject: Subject {
            device: DeviceId(id),
            room: RoomId(room),
            visit: visited.zip(visit_ends).map(|(room, ends)| (RoomId(room), UnixMillis(ends))),
            owner: owner.map(UserId),
            groups: all,
            staff,
        },
        cards,
    })
}

fn network((id, name, cidr, level, list, filter, nat): NetworkRow) -> Result<GatedNetwork> {
    let bad = Error::row("networks", name);
    Ok(GatedNetwork {
        id: NetworkId(id),
        cidr: cidr.parse().map_err(|e: ParseError| bad(e.to_string()))?,
        setting: setting(&level, list).map_err(bad)?,
        filter: filter.map(FilterId),
        nat,
    })
}

const RULES_AT_ONCE_MAX: usize = 2000;
const ROWS_PER_STATEMENT: usize = 64;
