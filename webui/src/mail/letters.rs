//! What is written, to whom and when. Pure: who calls says what is known and what time it is.

use std::collections::HashMap;

use inventory::{MailSettings, Notice, UnixMillis, lessons};
use jiff::civil::Date;

use crate::format;
use crate::lang::Lang;
use crate::night::{Night, NightRoom};
use crate::notices;
use crate::texts::Texts;

/// A message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    /// What it is about; written down when it was sent.
    pub(crate) about: Vec<String>,
    /// On which day it is written, or was due: with the others, what tells it from all other messages.
    pub(crate) day: Date,
    pub(crate) recipient: String,
    pub(crate) subject: String,
    pub(crate) body: String,
}

/// What is known at one moment.
pub(crate) struct Known<'a> {
    pub(crate) lang: Lang,
    pub(crate) school: &'a str,
    /// Where the pages are, if that has a name that is known outside.
    pub(crate) page: Option<String>,
    /// The latest night shift.
    pub(crate) night: Option<Night>,
    pub(crate) notices: Vec<Notice>,
    /// What was sent when, by what it was about and the recipient.
    pub(crate) sent: HashMap<(String, String), UnixMillis>,
    /// In the school's zone.
    pub(crate) today: Date,
    pub(crate) now: UnixMillis,
}

impl Known<'_> {
    /// What is to be sent now.
    pub(crate) fn due(&self, mail: &MailSettings) -> Vec<Letter> {
        let mut letters = Vec::new();
        for recipient in &mail.recipients {
            if mail.report {
                letters.extend(self.report(recipient));
            }
            if mail.alerts {
                letters.extend(self.alert(recipient));
            }
        }
        letters
    }

    /// The report of a night that is over, on the morning after it.
    fn report(&self, recipient: &str) -> Option<Letter> {
        let night = self.night.as_ref().filter(|night| !night.running)?;
        let about = format!("night {}", night.evening);
        let is_news = night.evening.tomorrow().is_ok_and(|morning| morning >= self.today);
        if !is_news || self.when(&about, recipient).is_some() {
            return None;
        }
        let t = Texts::of(self.lang);
        let (ready, total) = night.rooms.iter().fold((0, 0), |(ready, total), room| {
            (ready + room.ready, total + room.ready + room.others.len())
        });
        let heading = t.night_of(&night.evening.strftime("%d.%m.").to_string(), false);
        let rooms: Vec<String> = night.rooms.iter().map(|room| room_told(t, room)).collect();
        let mut parts = vec![heading.clone(), rooms.join("\n")];
        if !self.notices.is_empty() {
            parts.push(self.noticed(self.notices.iter()));
        }
        let subject = format!("{}: {} – {heading}", self.school, t.night_sum(ready, total));
        let letter = self.letter(vec![about], recipient, subject, parts, "/night");
        Some(Letter { day: night.evening, ..letter })
    }

    /// What is not in order for some minutes, all in one message, none twice in a week.
    fn alert(&self, recipient: &str) -> Option<Letter> {
        let mine = self.sent.iter().filter(|((about, to), _)| to == recipient && about.starts_with(NOTICE));
        let last = mine.map(|(_, at)| *at).max();
        if last.is_some_and(|at| self.now.millis_since(at) < BETWEEN_ALERTS_MILLIS) {
            return None;
        }
        let is_new = |notice: &&Notice| {
            let told = self.when(&about(notice), recipient);
            let lasts = self.now.millis_since(notice.raised_at) >= SETTLED_MILLIS;
            lasts && told.is_none_or(|at| self.now.millis_since(at) >= REMIND_MILLIS)
        };
        let new: Vec<&Notice> = self.notices.iter().filter(is_new).take(NOTICES_MAX).collect();
        let subject = format!("{}: {}", self.school, Texts::of(self.lang).mail_alert(new.len()));
        let told = self.noticed(new.iter().copied());
        let about = new.iter().map(|notice| about(notice)).collect();
        (!new.is_empty()).then(|| self.letter(about, recipient, subject, vec![told], "/"))
    }

    fn noticed<'a>(&self, notices: impl Iterator<Item = &'a Notice>) -> String {
        let lines = notices.take(NOTICES_MAX).map(|notice| {
            let (text, remedy) = notices::said(self.lang, &notice.text, &notice.remedy);
            let since = format::time(self.lang, notice.raised_at);
            format!("* {} ({}, {since})\n  {}", one_line(&text), notice.place, one_line(&remedy))
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn letter(
        &self,
        about: Vec<String>,
        recipient: &str,
        subject: String,
        mut parts: Vec<String>,
        path: &str,
    ) -> Letter {
        parts.extend(self.page.as_ref().map(|page| format!("{page}{path}")));
        let body = parts.join("\n\n") + "\n";
        let day = self.today;
        Letter { about, day, recipient: recipient.to_owned(), subject: one_line(&subject), body }
    }

    fn when(&self, about: &str, recipient: &str) -> Option<UnixMillis> {
        self.sent.get(&(about.to_owned(), recipient.to_owned())).copied()
    }
}

/// A message that says that messages arrive.
pub(crate) fn trial(lang: Lang, school: &str, recipient: &str, now: UnixMillis) -> Letter {
    let t = Texts::of(lang);
    Letter {
        // Each is one of its own.
        about: vec![now.0.to_string()],
        day: lessons::local(now).date(),
        recipient: recipient.to_owned(),
        subject: one_line(&format!("{school}: {}", t.mail_trial)),
        body: format!("{}\n", t.mail_trial_body),
    }
}

fn room_told(t: &Texts, room: &NightRoom) -> String {
    let total = room.ready + room.others.len();
    let mut lines = vec![format!("{}: {}", room.name, t.night_sum(room.ready, total))];
    lines.extend(room.others.iter().map(|pc| {
        let (_, state, advice) = t.night_state(&pc.note.state, false);
        let tired = if pc.needs_person() { t.night_again(pc.nights) + " " } else { String::new() };
        one_line(&format!("  {}: {state}. {tired}{advice}", pc.name))
    }));
    lines.join("\n")
}

fn about(notice: &Notice) -> String {
    format!("{NOTICE}{} {}", notice.source, notice.place)
}

fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LINE_CHARS_MAX)
        .collect::<String>()
        .trim_end()
        .to_owned()
}

const NOTICE: &str = "notice ";
/// What is over sooner than this is told to nobody.
const SETTLED_MILLIS: i64 = 5 * 60_000;
const BETWEEN_ALERTS_MILLIS: i64 = 3_600_000;
const REMIND_MILLIS: i64 = 7 * 24 * 3_600_000;
const NOTICES_MAX: usize = 50;
const LINE_CHARS_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use inventory::night::{NightNote, NightState};
    use inventory::{DeviceId, MailSecurity, RoomId};

    use super::*;
    use crate::night::NightPc;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn mail() -> MailSettings {
        MailSettings {
            host: "mail.schule.example".into(),
            port: 587,
            security: MailSecurity::StartTls,
            login: None,
            sender: "hausmeister@schule.example".into(),
            recipients: vec!["a@schule.example".into(), "b@schule.example".into()],
            report: true,
            alerts: true,
        }
    }

    fn notice(place: &str, minutes: i64) -> Notice {
        Notice {
            source: "netd".into(),
            place: place.into(),
            text: "Apple's push certificate has ended".into(),
            remedy: "none\r\nBcc: somebody@example.org".into(),
            raised_at: UnixMillis(NOW.0 - minutes * 60_000),
        }
    }

    fn night(running: bool, nights: usize) -> Night {
        let note = NightNote { state: NightState::Silent, calls: 3, since: NOW };
        let pc = NightPc { device: DeviceId::random(), name: "r204-pc07".parse().unwrap(), note, nights };
        let room = NightRoom { room: RoomId::random(), name: "Raum 204".into(), ready: 28, others: vec![pc] };
        Night { evening: "2026-11-22".parse().unwrap(), running, rooms: vec![room] }
    }

    fn known(today: &str) -> Known<'static> {
        Known {
            lang: Lang::De,
            school: "Gymnasium",
            page: Some("https://hausmeister.schule.example".into()),
            night: Some(night(false, 1)),
            notices: Vec::new(),
            sent: HashMap::new(),
            today: today.parse().unwrap(),
            now: NOW,
        }
    }

    #[test]
    fn a_night_is_told_to_each_once_when_it_is_over() {
        let mut known = known("2026-11-23");
        let letters = known.due(&mail());
        let [first, second] = letters.as_slice() else { panic!("{letters:?}") };
        assert_eq!(
            (first.recipient.as_str(), second.recipient.as_str()),
            ("a@schule.example", "b@schule.example")
        );
        assert_eq!(first.subject, "Gymnasium: 28/29 bereit – Die Nacht vom 22.11.");
        assert!(
            first
                .body
                .contains("Raum 204: 28/29 bereit\n  r204-pc07: antwortet nicht. Steckt das Netzwerkkabel")
        );
        assert!(first.body.ends_with("https://hausmeister.schule.example/night\n"), "{}", first.body);

        known.sent.insert((first.about.concat(), first.recipient.clone()), NOW);
        let left: Vec<String> = known.due(&mail()).into_iter().map(|letter| letter.recipient).collect();
        assert_eq!(left, ["b@schule.example"]);
        assert!(known.due(&MailSettings { report: false, ..mail() }).is_empty());
        known.night = Some(night(false, 3));
        assert!(
            known.due(&mail())[0].body.contains("antwortet nicht. Schon die 3. Nacht"),
            "a person is needed"
        );
        known.night = Some(night(true, 1));
        assert!(known.due(&mail()).is_empty(), "it still runs");
    }

    #[test]
    fn a_night_of_the_day_before_yesterday_is_no_news() {
        assert!(known("2026-11-24").due(&mail()).is_empty());
    }

    #[test]
    fn what_is_not_in_order_is_told_once_a_week_in_one_message() {
        let mut known = Known { night: None, ..known("2026-11-23") };
        known.notices = vec![notice("pool/PC-Netz", 6), notice("line", 60), notice("fleeting", 1)];
        let mail = MailSettings { recipients: vec!["a@schule.example".into()], ..mail() };
        let [letter] = &known.due(&mail)[..] else { panic!("not one") };
        assert_eq!(letter.about, ["notice netd pool/PC-Netz", "notice netd line"]);
        assert!(
            letter.body.starts_with("* Apples Push-Zertifikat ist abgelaufen (pool/PC-Netz,"),
            "{}",
            letter.body
        );
        assert!(letter.body.contains("  none  Bcc: somebody"), "no line of its own: {}", letter.body);

        let told = |at: i64| {
            let entry = |about: &String| ((about.clone(), letter.recipient.clone()), UnixMillis(at));
            letter.about.iter().map(entry).collect::<HashMap<_, _>>()
        };
        known.sent = told(NOW.0 - BETWEEN_ALERTS_MILLIS);
        assert!(known.due(&mail).is_empty());
        known.notices.push(notice("new", 10));
        assert_eq!(known.due(&mail)[0].about, ["notice netd new"]);
        known.sent = told(NOW.0 - BETWEEN_ALERTS_MILLIS + 1);
        assert!(known.due(&mail).is_empty(), "not more often than once an hour");
        known.sent = told(NOW.0 - REMIND_MILLIS);
        known.today = known.today.tomorrow().unwrap();
        let again = &known.due(&mail)[0];
        assert_eq!((again.about.len(), again.day == letter.day), (3, false), "another message");
    }
}
