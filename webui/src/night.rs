//! What came of the night shift, the same for page, overview and API.

use std::collections::{BTreeMap, HashMap, HashSet};

use inventory::night::{NightNote, NightPlan, NightState, PcTonight};
use inventory::{Device, DeviceId, Hostname, RoomId, clock, lessons};
use jiff::ToSpan;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};

/// What came of a shift.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Night {
    /// The day on which it began.
    #[schemars(with = "String")]
    pub(crate) evening: Date,
    /// Whether it still runs in some room.
    pub(crate) running: bool,
    /// By name.
    pub(crate) rooms: Vec<NightRoom>,
}

/// What came of it in a room.
#[derive(Serialize, JsonSchema)]
pub(crate) struct NightRoom {
    pub(crate) room: RoomId,
    pub(crate) name: String,
    /// PCs that are as they should be.
    pub(crate) ready: usize,
    /// The others, by name.
    pub(crate) others: Vec<NightPc>,
}

/// A PC that is not as it should be.
#[derive(Serialize, JsonSchema)]
pub(crate) struct NightPc {
    pub(crate) device: DeviceId,
    pub(crate) name: Hostname,
    #[serde(flatten)]
    pub(crate) note: NightNote,
    /// In how many nights in a row it was not, this one among them.
    pub(crate) nights: usize,
}

impl NightPc {
    /// Whether the next night is not likely to mend it.
    pub(crate) fn needs_person(&self) -> bool {
        self.nights >= NIGHTS_MAX
    }
}

/// What was written down in the last so many days, the latest night first.
pub(crate) async fn notes(app: &App, days: i64) -> Answer<Vec<PcTonight>> {
    let today = lessons::local(clock::now()).date();
    Ok(app.inventory.night_notes(today.checked_sub(days.days()).unwrap_or(today)).await?.0)
}

/// The latest shift of the last days, of these devices; none if there was none. In how many nights a PC was not ready is counted
/// as far back as `notes` go.
pub(crate) async fn latest(app: &App, devices: &[Device], notes: &[PcTonight]) -> Answer<Option<Night>> {
    let local = lessons::local(clock::now());
    let today = local.date();
    let Some(evening) = notes.first().map(|note| note.evening) else { return Ok(None) };
    if evening.checked_add(DAYS.days()).is_ok_and(|last| last < today) {
        return Ok(None);
    }
    let nights = nights_in_a_row(notes);
    let (plans, _) = app.inventory.night_plans().await?;
    let grid = app.inventory.grid().await?;
    let runs = |plan: &NightPlan| plan.tonight(&grid, &local).is_some_and(|shift| shift.evening == evening);
    let devices: HashMap<DeviceId, &Device> = devices.iter().map(|device| (device.id, device)).collect();
    let mut rooms: BTreeMap<String, NightRoom> = BTreeMap::new();
    for PcTonight { device, note, .. } in notes.iter().filter(|note| note.evening == evening) {
        let Some(device) = devices.get(device) else { continue };
        let (room, name) = (device.room.id, device.room.name.clone());
        let empty = || NightRoom { room, name: name.clone(), ready: 0, others: Vec::new() };
        let room = rooms.entry(name.clone()).or_insert_with(empty);
        match is_ready(&note.state) {
            true => room.ready += 1,
            false => {
                let nights = nights.get(&device.id).copied().unwrap_or(1);
                let note = note.clone();
                room.others.push(NightPc { device: device.id, name: device.name.clone(), note, nights });
            }
        }
    }
    let mut rooms: Vec<NightRoom> = rooms.into_values().collect();
    rooms.iter_mut().for_each(|room| room.others.sort_by(|a, b| a.name.cmp(&b.name)));
    Ok(Some(Night { evening, running: plans.iter().any(runs), rooms }))
}

/// Has a room's shift leave out the night that runs, or else the next one; or not. Which night that is.
pub(crate) async fn rest(app: &App, me: &SignedIn, room: RoomId, rest: bool) -> Answer<Option<Date>> {
    let (plans, _) = app.inventory.night_plans().await?;
    let plan = plans.iter().find(|plan| plan.room == room).ok_or(Failure::Gone)?;
    let grid = app.inventory.grid().await?;
    let evening = plan.coming(&grid, &lessons::local(clock::now())).filter(|_| rest);
    app.inventory.set_night_rest(me.by(), room, evening).await?;
    Ok(evening)
}

/// What came of a night in one line.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct PastNight {
    /// The day on which it began.
    #[schemars(with = "String")]
    pub(crate) evening: Date,
    /// PCs that were as they should be.
    pub(crate) ready: usize,
    /// PCs of the rooms that had a shift.
    pub(crate) total: usize,
}

/// The nights in one line each, the latest first.
pub(crate) fn history(notes: &[PcTonight]) -> Vec<PastNight> {
    let mut nights: BTreeMap<Date, (usize, usize)> = BTreeMap::new();
    for PcTonight { evening, note, .. } in notes {
        let (ready, total) = nights.entry(*evening).or_default();
        *ready += usize::from(is_ready(&note.state));
        *total += 1;
    }
    let nights = nights.into_iter().rev();
    nights.map(|(evening, (ready, total))| PastNight { evening, ready, total }).collect()
}

/// In how many nights in a row each PC was not as it should be; `notes` begins with the latest.
fn nights_in_a_row(notes: &[PcTonight]) -> HashMap<DeviceId, usize> {
    let mut nights = HashMap::new();
    let mut well = HashSet::new();
    for PcTonight { device, note, .. } in notes {
        if is_ready(&note.state) {
            well.insert(*device);
        } else if !well.contains(device) {
            *nights.entry(*device).or_insert(0) += 1;
        }
    }
    nights
}

fn is_ready(state: &NightState) -> bool {
    matches!(state, NightState::Ready | NightState::SwitchedOff)
}

/// A shift that is longer ago says nothing about this morning.
pub(crate) const DAYS: i64 = 4;
/// As far back as anybody looks.
pub(crate) const HISTORY_DAYS: i64 = 30;
/// Tried in so many nights, it is a case for a person.
const NIGHTS_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use inventory::UnixMillis;

    use super::*;

    #[test]
    fn nights_count_until_the_last_good_one() {
        let (bad, mended) = (DeviceId::random(), DeviceId::random());
        let note = |device, evening: &str, state| PcTonight {
            device,
            evening: evening.parse().unwrap(),
            note: NightNote { state, calls: 0, since: UnixMillis(0) },
        };
        let notes = [
            note(bad, "2026-11-23", NightState::Silent),
            note(mended, "2026-11-23", NightState::InUse),
            note(mended, "2026-11-22", NightState::Ready),
            // It was not asked on Sunday.
            note(bad, "2026-11-20", NightState::ImageFailed(String::new())),
            note(mended, "2026-11-20", NightState::Silent),
            note(bad, "2026-11-19", NightState::SwitchedOff),
            note(bad, "2026-11-18", NightState::Silent),
        ];
        let nights = nights_in_a_row(&notes);
        assert_eq!((nights.get(&bad), nights.get(&mended)), (Some(&2), Some(&1)));
    }
}
