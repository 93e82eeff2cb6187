//! Sizes, times and durations as people read them.

use inventory::UnixMillis;
use inventory::lessons::local;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::lang::Lang;

/// Bytes with a binary unit and at most one decimal: `1,5 GiB`.
pub(crate) fn bytes(lang: Lang, bytes: u64) -> String {
    let mut unit = "B";
    let mut value = bytes as f64;
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        // 1023.95 would be written 1024.0.
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    let number = if unit == "B" || value >= 99.95 { format!("{value:.0}") } else { format!("{value:.1}") };
    format!("{} {unit}", decimal(lang, &number))
}

/// The wall-clock time in the machine's zone: `21.11.2026, 23:53`.
pub(crate) fn time(lang: Lang, at: UnixMillis) -> String {
    in_zone(lang, at, &TimeZone::system())
}

/// The time of day in the machine's zone: `10:43`.
pub(crate) fn clock(at: UnixMillis) -> String {
    match local(at).strftime("%H:%M").to_string() {
        // Midnight ends the day that it is told on.
        midnight if midnight == "00:00" => "24:00".into(),
        time => time,
    }
}

/// Day and time, short enough to stand in a name: `21.11. 23:53`.
pub(crate) fn stamp(at: UnixMillis) -> String {
    local(at).strftime("%d.%m. %H:%M").to_string()
}

fn in_zone(lang: Lang, at: UnixMillis, zone: &TimeZone) -> String {
    let Ok(instant) = Timestamp::from_millisecond(at.0) else { return "–".into() };
    let pattern = match lang {
        Lang::De => "%d.%m.%Y, %H:%M",
        Lang::En => "%Y-%m-%d %H:%M",
    };
    instant.to_zoned(zone.clone()).strftime(pattern).to_string()
}

/// The instant for machines: `2026-11-21T22:53:00Z`.
pub(crate) fn iso(at: UnixMillis) -> String {
    Timestamp::from_millisecond(at.0 / 1000 * 1000).map(|t| t.to_string()).unwrap_or_default()
}

/// How long ago: `vor 3 Min.`; older than a day, the time itself.
pub(crate) fn ago(lang: Lang, now: UnixMillis, at: UnixMillis) -> String {
    let secs = now.millis_since(at) / 1000;
    let (number, unit_de, unit_en) = match secs {
        i64::MIN..10 => {
            return match lang {
                Lang::De => "gerade eben",
                Lang::En => "just now",
            }
            .into();
        }
        10..60 => (secs, "Sek.", "s"),
        60..3600 => (secs / 60, "Min.", "min"),
        3600..86_400 => (secs / 3600, "Std.", "h"),
        _ => return time(lang, at),
    };
    match lang {
        Lang::De => format!("vor {number} {unit_de}"),
        Lang::En => format!("{number} {unit_en} ago"),
    }
}

/// A length of time in its two largest units: `2 Min. 5 Sek.`.
pub(crate) fn duration(lang: Lang, millis: i64) -> String {
    let secs = millis.max(0) / 1000;
    let (h, min, s) = match lang {
        Lang::De => ("Std.", "Min.", "Sek."),
        Lang::En => ("h", "min", "s"),
    };
    match (secs / 3600, secs / 60 % 60, secs % 60) {
        (0, mins, 0) if mins > 0 => format!("{mins} {min}"),
        (hours, 0, _) if hours > 0 => format!("{hours} {h}"),
        (0, 0, secs) => format!("{secs} {s}"),
        (0, mins, secs) => format!("{mins} {min} {secs} {s}"),
        (hours, mins, _) => format!("{hours} {h} {mins} {min}"),
    }
}

fn decimal(lang: Lang, number: &str) -> String {
    match lang {
        Lang::De => number.replace('.', ","),
        Lang::En => number.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_unit_and_few_digits() {
        for (value, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1,0 KiB"),
            (1_610_612_736, "1,5 GiB"),
            (1_048_575, "1,0 MiB"),
            (256_060_514_304, "238 GiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(bytes(Lang::De, value), expected, "{value}");
        }
        assert_eq!(bytes(Lang::En, 1536), "1.5 KiB");
    }

    #[test]
    fn times_are_shown_in_the_zone_of_the_school() {
        let at = UnixMillis(1_795_301_580_000);
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(in_zone(Lang::De, at, &berlin), "21.11.2026, 23:53");
        assert_eq!(in_zone(Lang::En, at, &berlin), "2026-11-21 23:53");
        assert_eq!(iso(at), "2026-11-21T22:53:00Z");
        assert_eq!(in_zone(Lang::De, UnixMillis(i64::MAX), &berlin), "–");
    }

    #[test]
    fn recent_times_are_told_as_an_age() {
        let now = UnixMillis(1_795_301_580_000);
        let before = |secs: i64| UnixMillis(now.0 - secs * 1000);
        assert_eq!(ago(Lang::De, now, before(3)), "gerade eben");
        assert_eq!(ago(Lang::De, now, before(-300)), "gerade eben");
        assert_eq!(ago(Lang::De, now, before(200)), "vor 3 Min.");
        assert_eq!(ago(Lang::En, now, before(7300)), "2 h ago");
        assert_eq!(duration(Lang::De, 125_400), "2 Min. 5 Sek.");
        assert_eq!(duration(Lang::En, 3_725_000), "1 h 2 min");
        assert_eq!(duration(Lang::De, -5), "0 Sek.");
        assert_eq!(duration(Lang::De, 43_200_000), "12 Std.");
        assert_eq!(duration(Lang::De, 300_000), "5 Min.");
    }
}
