//! What the screen shows in each scene.

use expect_test::{Expect, expect};
use images::protocol::Phase;

use super::super::{Device, Kind, Problem};
use super::*;

fn view(scene: Scene) -> View {
    View {
        server: "10.77.0.1:8443".into(),
        machine: vec!["FUJITSU ESPRIMO Q558, S/N YM4R001234".into(), "52:54:00:77:00:02  10.77.0.50".into()],
        scene,
        ..View::default()
    }
}

fn check(view: &View, expected: &Expect) {
    let lines = render(view, 80, 25);
    assert_eq!(lines.len(), 25);
    // The bar keeps the margin from being taken for the indentation of the test.
    expected.assert_eq(&lines.iter().map(|line| format!("|{line}\n")).collect::<String>());
}

#[test]
fn a_waiting_pc_shows_its_code_in_digits_that_can_be_read_from_afar() {
    check(
        &view(Scene::Waiting { code: "120934".into() }),
        &expect![[r#"
            |  HAUSMEISTER                                                   10.77.0.1:8443
            |  ────────────────────────────────────────────────────────────────────────────
            |
            |  Dieser PC wartet auf Freigabe
            |  This PC waits for approval
            |
            |    ██    ██████  ██████  ██████  ██████  ██  ██
            |  ████        ██  ██  ██  ██  ██      ██  ██  ██
            |    ██        ██  ██  ██  ██  ██      ██  ██  ██
            |    ██    ██████  ██  ██  ██████  ██████  ██████
            |    ██    ██      ██  ██      ██      ██      ██
            |    ██    ██      ██  ██      ██      ██      ██
            |  ██████  ██████  ██████  ██████  ██████      ██
            |
            |  Auf der Seite "Warteliste" den PC mit dieser Nummer freigeben.
            |  Approve the PC with this number on the page "Waiting list".
            |
            |
            |
            |
            |
            |
            |  ────────────────────────────────────────────────────────────────────────────
            |  FUJITSU ESPRIMO Q558, S/N YM4R001234
            |  52:54:00:77:00:02  10.77.0.50
        "#]],
    );
}

#[test]
fn a_pc_that_is_written_shows_how_far_it_is_and_how_long_it_takes() {
    let work = Work {
        kind: Kind::Deploy,
        image: "Schulbuchlinux 3".into(),
        phase: Phase::Transfer,
        done: 1_234_567_890,
        total: 5_000_000_000,
        rate: 103_000_000.0,
    };
    let device = Some(Device { name: "r204-pc07".into(), room: "Raum 204".into() });
    let hitch = Some((Problem::NoServer, "Connection refused".to_owned()));
    check(
        &View { device, hitch, ..view(Scene::Working(work)) },
        &expect![[r#"
            |  HAUSMEISTER  r204-pc07 (Raum 204)                             10.77.0.1:8443
            |  ────────────────────────────────────────────────────────────────────────────
            |
            |  Dieser PC wird eingerichtet
            |  This PC is being set up
            |
            |  Schulbuchlinux 3
            |
            |  Daten werden übertragen / Transferring data
            |  ████████████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  24 %
            |  1.2 GB / 5.0 GB   103 MB/s   noch 0:36 min left
            |
            |  Bitte nicht ausschalten. Nach einem Stromausfall geht es von selbst weiter.
            |  Please do not switch off.
            |
            |  ! Der Server antwortet nicht / The server does not answer
            |  Connection refused
            |  Läuft der Server? Es wird von selbst weiter versucht.
            |  Is the server running? The PC keeps trying by itself.
            |
            |
            |
            |  ────────────────────────────────────────────────────────────────────────────
            |  FUJITSU ESPRIMO Q558, S/N YM4R001234
            |  52:54:00:77:00:02  10.77.0.50
        "#]],
    );
}

#[test]
fn a_problem_is_shown_with_its_remedy_in_both_languages() {
    let detail = "several disks could be meant (sda: Model S1, 256 GB; sdb: Model S2, 256 GB); unplug all but one, or \
                  choose the disk on the device's page";
    let trouble =
        Trouble { problem: Problem::Job, detail: detail.into(), retry: Some(Duration::from_secs(8)) };
    check(
        &view(Scene::Trouble(trouble)),
        &expect![[r#"
            |  HAUSMEISTER                                                   10.77.0.1:8443
            |  ────────────────────────────────────────────────────────────────────────────
            |
            |  Der Auftrag ist fehlgeschlagen
            |  The job has failed
            |
            |  several disks could be meant (sda: Model S1, 256 GB; sdb: Model S2, 256 GB);
            |  unplug all but one, or choose the disk on the device's page
            |
            |  Ursache beheben, dann den Auftrag auf der Seite des Geräts neu starten.
            |  Solve the cause, then start the job again on the device's page.
            |  Nächster Versuch in 8 s / Next try in 8 s
            |
            |
            |
            |
            |
            |
            |
            |
            |
            |
            |  ────────────────────────────────────────────────────────────────────────────
            |  FUJITSU ESPRIMO Q558, S/N YM4R001234
            |  52:54:00:77:00:02  10.77.0.50
        "#]],
    );
}

#[test]
fn sizes_and_times_are_short() {
    for (bytes, expected) in [
        (0, "0 kB"),
        (999_999, "999 kB"),
        (64 << 20, "67 MB"),
        (25_049_000_000, "25.0 GB"),
        (u64::MAX, "18446744073.7 GB"),
    ] {
        assert_eq!(size(bytes), expected);
    }
    for (secs, expected) in [(0, "0:00 min"), (61, "1:01 min"), (3600, "1:00 h"), (7500, "2:05 h")] {
        assert_eq!(clock_time(Duration::from_secs(secs)), expected);
    }
    assert_eq!((percent(0, 0), percent(5, 0), percent(1, 3), percent(u64::MAX, u64::MAX)), (0, 0, 33, 100));
}

proptest::proptest! {
    #[test]
    fn no_view_overflows_a_screen_of_any_size(code in "[0-9a-z]{0,9}", text in ".{0,300}", done: u64, total: u64, rate: f64, columns in 0usize..300, rows in 0usize..100) {
        let work = Work { kind: Kind::Capture, image: text.clone(), phase: Phase::Finish, done, total, rate };
        let trouble = Trouble { problem: Problem::Crash, detail: text.clone(), retry: None };
        for scene in [Scene::Waiting { code }, Scene::Working(work), Scene::Trouble(trouble)] {
            let device = Some(Device { name: text.clone(), room: text.clone() });
            let view = View { device, hitch: Some((Problem::NoServer, text.clone())), machine: vec![text.clone(); 9], ..view(scene) };
            let lines = render(&view, columns, rows);
            assert_eq!(lines.len(), rows.max(1));
            for line in lines {
                assert!(line.chars().count() < columns.max(20), "{line}");
                assert!(!line.chars().any(char::is_control));
            }
        }
    }
}
