//! The demo's lesson: the school is offline at ordinary times; a teacher unlocks room 204 from a phone, a pupil's PC gets out, the bell
//! rings, and it is out again.
//!
//! The pupil's PC is a virtual one with its own Debian, used over its serial console; the phone is a real browser behind a cable of the
//! school, where it got its address by DHCP.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use inventory::lessons::{Grid, Lesson as GridLesson};
use inventory::{UnixMillis, clock};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use rand::Rng as _;
use serde_json::{Value, json};

use super::api::{number, text};
use super::internet::{HOST, Internet, PICTURE};
use super::pause;
use super::story::{LIMIT, ROOM, SERVER, Story};
use crate::browser::{Browser, Screen};
use crate::vm::{Computer, Mark};

/// The lesson while it runs.
struct Lesson {
    pupil: &'static str,
    room: String,
    phone: Browser,
    _device: Computer,
    _internet: Internet,
}

impl Story {
    /// Plays the lesson with the PC `pupil`, which was restarted at `restarted` and boots its own system.
    pub(super) fn tell_of_a_lesson(&mut self, pupil: &'static str, restarted: Mark) -> anyhow::Result<()> {
        let internet = Internet::connect(&self.bridge)?;
        let network = self.school.api.list("/networks")?.first().map(|network| text(network, "id"));
        let gate = format!("/networks/{}/gate", network.context("there is no network")?);
        self.school.api.put(&gate, &json!({ "level": "off", "nat": true }))?;
        let (device, phone) = self.teachers_phone()?;
        let room = self.school.api.find("/rooms", "name", ROOM)?.context("the room is gone")?;
        let room = text(&room, "id");
        let mut lesson = Lesson { pupil, room, phone, _device: device, _internet: internet };

        self.sit_down_at(pupil, restarted)?;
        let why = self.ask_in_vain(pupil)?;
        self.milestone(&format!("{pupil} asks for a film and is led to a page that says: {why}"));
        let bell = self.unlock(&mut lesson)?;
        self.watch_until(&mut lesson, bell)?;
        let why = self.ask_in_vain(pupil)?;
        self.milestone(&format!("{pupil} asks again and reads: {why}"));
        Ok(())
    }

    /// Waits for the PC's own system and opens a shell on its console.
    fn sit_down_at(&mut self, pupil: &'static str, restarted: Mark) -> anyhow::Result<()> {
        self.wait_line(pupil, restarted, "press ENTER")?;
        let opened = self.type_on(pupil, "\n")?;
        self.wait_line(pupil, opened, &format!("root@{pupil}"))?;
        // Without an echo, what is typed cannot be taken for an answer.
        let quiet = self.type_on(pupil, &format!("stty -echo; PS1=; {GET}; printf 'rea%s\\n' dy\n"))?;
        self.wait_line(pupil, quiet, "ready")?;
        Ok(())
    }

    /// Asks for the film on a locked PC; returns what the page says that it is led to.
    fn ask_in_vain(&mut self, pupil: &'static str) -> anyhow::Result<String> {
        let asked = self.type_on(pupil, &format!("get {HOST} 80 film.example | grep -i ^location\n"))?;
        let answer = self.wait_line(pupil, asked, "ocation: ")?;
        let page =
            answer.split_whitespace().last().and_then(|url| url.strip_prefix("http://")).unwrap_or_default();
        let page = page.trim_end_matches('/');
        let (host, port) = page.split_once(':').with_context(|| format!("{pupil} was led to {answer:?}"))?;
        ensure!(host == SERVER, "{pupil} was led to {answer:?}");
        let asked =
            self.type_on(pupil, &format!("get {host} {port} {page} | grep -oE '(badge|<p)[^<>]*>[^<]+<'\n"))?;
        let [state, reason] = ["badge", "<p>"].map(|begin| self.wait_line(pupil, asked, begin));
        let words =
            |line: String| line.trim_end_matches('<').rsplit('>').next().unwrap_or_default().to_owned();
        Ok(format!("{:?}", [words(state?), words(reason?)].join(": ")))
    }

    /// A teacher with a phone in the room, signed in, with *Mein Raum* open.
    fn teachers_phone(&mut self) -> anyhow::Result<(Computer, Browser)> {
        let password: String = (0..16).map(|_| char::from(rand::rng().random_range(b'a'..=b'z'))).collect();
        let api = &self.school.api;
        api.post("/people", &json!({ "name": TEACHER, "password": password, "role": "teacher" }))?;
        let cards = json!([{ "mac": PHONE_CARD, "kind": "wlan" }]);
        let device =
            api.post("/devices", &json!({ "name": "handy-lehrerin", "room": ROOM, "cards": cards }))?;
        api.put(&format!("/devices/{}/owner", text(&device, "id")), &json!({ "staff": true }))?;

        let device = self.bridge.computer("phone", PHONE_CARD)?;
        device.ask_for_an_address(&self.work_dir)?.context("the phone got no address")?;
        let profile = self.work_dir.join("phone");
        let mut phone = Browser::start(device.command("sh"), &profile, Screen::PHONE)?;
        phone.open(&format!("https://{SERVER}/"))?;
        phone.write("#name", TEACHER)?;
        phone.write("#password", &password)?;
        phone.and_load(|phone| phone.tap("main form button"))?;
        let title = phone.text("h1")?;
        ensure!(title == ROOM, "the phone shows {title:?}, not the room it is in");
        self.milestone(&format!(
            "a teacher signed in from a phone in {ROOM}: the page found the room by the phone's address"
        ));
        Ok((device, phone))
    }

    /// One tap; returns when the bell will ring.
    fn unlock(&mut self, lesson: &mut Lesson) -> anyhow::Result<UnixMillis> {
        let (pupil, gate) = (lesson.pupil, format!("/gate/rooms/{}", lesson.room));
        let bell = next_bell(clock::now());
        self.school.api.put("/lesson-times", &json!(lessons_with(&zoned(bell, TimeZone::system())?)))?;
        lesson.phone.open(&format!("https://{SERVER}/"))?;
        let tapped = clock::now();
        lesson.phone.tap(".level.on")?;
        self.wait("the kernel was told", LIMIT, |story| {
            let room = story.school.api.get(&gate)?;
            let devices = room.get("devices").and_then(Value::as_array).cloned().unwrap_or_default();
            let seat =
                devices.iter().find(|device| text(device, "name") == pupil).cloned().unwrap_or_default();
            let on = text(&seat, "level") == "on" && seat.get("confirmed") == Some(&Value::Bool(true));
            Ok(on.then_some(()))
        })?;
        let took = clock::now().0 - tapped.0;
        let ends = number(&self.school.api.get(&gate)?, "grant.ends_at");
        ensure!(
            i64::try_from(ends) == Ok(bell.0),
            "it was unlocked until {ends}, the bell rings at {}",
            bell.0
        );
        self.milestone(&format!(
            "the teacher tapped once: {ROOM} is on until the bell, after {took} ms the kernel does it"
        ));
        Ok(bell)
    }

    /// The film runs on the pupil's PC until the bell and not much longer.
    fn watch_until(&mut self, lesson: &mut Lesson, bell: UnixMillis) -> anyhow::Result<()> {
        let pupil = lesson.pupil;
        let asked = self.type_on(pupil, &format!("get {HOST} 80 film.example\n"))?;
        self.wait_line(pupil, asked, PICTURE)?;
        self.milestone(&format!(
            "{pupil} is out: the film runs; the bell rings in {} s",
            (bell.0 - clock::now().0) / 1000
        ));
        self.show_tile(lesson, "on", "mein-raum-an")?;

        let (mut last, mut seen) = (String::new(), clock::now());
        while clock::now().0 < bell.0 + SILENCE_MILLIS {
            let line = self.pc(pupil)?.vm.line_since(asked, PICTURE)?.unwrap_or_default();
            if line != last {
                (last, seen) = (line, clock::now());
            }
            pause(&self.interrupted, Duration::from_millis(20))?;
        }
        let late = seen.0 - bell.0;
        ensure!(
            (-LATE_MAX..=LATE_MAX).contains(&late),
            "the last picture of the film came {late} ms after the bell"
        );
        self.milestone(&format!(
            "the bell rang: {pupil} is out again, the last picture of the film came {late} ms after it"
        ));
        self.type_on(pupil, "\x03")?;
        self.show_tile(lesson, "off", "mein-raum-aus")?;
        let stale = lesson.phone.text("div.flash")?;
        ensure!(stale.is_empty(), "the phone goes on to say {stale:?}");
        Ok(())
    }

    /// Waits until the phone's page shows the pupil's seat like that, and takes a picture of it. Nobody touches the phone.
    fn show_tile(&mut self, lesson: &mut Lesson, level: &str, name: &str) -> anyhow::Result<()> {
        let tile = format!("tile => tile.matches('.{level}') && tile.innerText.includes('{}')", lesson.pupil);
        lesson.phone.until(&format!("Array.from(document.querySelectorAll('li.tile')).some({tile})"))?;
        let picture = self.work_dir.join(format!("{name}.png"));
        lesson.phone.picture(&picture)?;
        self.milestone(&format!("the phone shows it by itself: {}", picture.display()));
        Ok(())
    }

    /// Types on a PC's console; returns the place where the answer begins.
    fn type_on(&mut self, name: &str, keys: &str) -> anyhow::Result<Mark> {
        let pc = self.pc(name)?;
        let mark = pc.vm.mark();
        pc.vm.type_text(keys)?;
        Ok(mark)
    }

    fn wait_line(&mut self, name: &'static str, since: Mark, wanted: &str) -> anyhow::Result<String> {
        self.wait(&format!("{wanted:?} on the screen of {name}"), LIMIT, |story| {
            story.pc(name)?.vm.line_since(since, wanted)
        })
    }
}

/// Whether everything that the lesson needs is installed.
pub(super) fn is_possible() -> anyhow::Result<()> {
    for (program, package) in [
        ("chromium", "chromium"),
        ("udhcpc", "udhcpc"),
        ("nft", "nftables"),
        ("freeradius", "freeradius freeradius-rest"),
        ("hostapd", "hostapd"),
        ("wpa_supplicant", "wpasupplicant"),
    ] {
        let found = Command::new(program)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        ensure!(
            found.is_ok(),
            "{program} is missing; `apt-get install {package}` installs it, and `make demo` does everything"
        );
    }
    Ok(())
}

/// The end of a minute that leaves time for a tap and a look.
fn next_bell(now: UnixMillis) -> UnixMillis {
    const MINUTE: i64 = 60_000;
    UnixMillis((now.0 + LOOK_MILLIS + MINUTE - 1) / MINUTE * MINUTE)
}

/// Every day a lesson that ends at `bell`, and the next one at once, so that nothing is added to it. At midnight there is
/// none: then midnight is the bell.
fn lessons_with(bell: &Zoned) -> Grid {
    let minute = u16::try_from(i32::from(bell.hour()) * 60 + i32::from(bell.minute())).unwrap_or_default();
    if !(1..MIDNIGHT).contains(&minute) {
        return Grid::default();
    }
    let day = [
        GridLesson { number: 1, starts: minute.saturating_sub(40), ends: minute },
        GridLesson { number: 2, starts: minute, ends: MIDNIGHT.min(minute + 45) },
    ];
    Grid { week: [(); 7].map(|()| day.to_vec()), special: Vec::new() }
}

fn zoned(at: UnixMillis, zone: TimeZone) -> anyhow::Result<Zoned> {
    Ok(Timestamp::from_millisecond(at.0)?.to_zoned(zone))
}

/// Asks for a page with nothing but the shell: `get ADDRESS PORT HOST`.
const GET: &str =
    r#"get() { exec 3<>/dev/tcp/$1/$2; printf 'GET / HTTP/1.0\r\nHost: %s\r\n\r\n' "$3" >&3; cat <&3; }"#;
const TEACHER: &str = "lehrerin";
const PHONE_CARD: &str = "a6:54:00:77:02:01";
/// Time for a tap and a look before the bell.
const LOOK_MILLIS: i64 = 12_000;
/// So long after the bell nothing may come any more.
const SILENCE_MILLIS: i64 = 4_000;
/// The last picture is on an emulated PC's screen at most so many milliseconds away from the bell.
const LATE_MAX: i64 = 2500;
const MIDNIGHT: u16 = 24 * 60;

#[cfg(test)]
mod tests {
    use inventory::lessons::Span;

    use super::*;

    #[test]
    fn the_bell_is_a_full_minute_and_leaves_time() {
        for (now, bell) in
            [(0, 60_000), (47_999, 60_000), (48_000, 60_000), (48_001, 120_000), (60_000, 120_000)]
        {
            assert_eq!(next_bell(UnixMillis(now)), UnixMillis(bell), "{now}");
        }
    }

    #[test]
    fn the_lessons_meet_at_the_bell() {
        for minute in 0..24 * 60 {
            let tapped = UnixMillis(minute * 60_000 + 47_000);
            let bell = next_bell(tapped);
            let lessons = lessons_with(&zoned(bell, TimeZone::UTC).unwrap());
            let (ends, _) = lessons.end(&zoned(tapped, TimeZone::UTC).unwrap(), Span::Lesson);
            assert_eq!(ends, bell, "minute {minute}");
        }
    }
}
