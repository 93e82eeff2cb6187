//! *Mein Raum* as a teacher uses it: on a phone, with thumbs.

use hausmeister::browser::{Browser, Screen};
use inventory::gate::{Layer, Rule, Target};
use inventory::{By, Level, clock};

use super::{Pages, in_secs, picture};

#[test]
fn a_teacher_sets_the_room_with_two_taps_and_sees_what_the_kernel_does() {
    let pages = Pages::serve();
    pages.sit_in_the_room();
    let mut browser = pages.signed_in("lehrerin", Screen::PHONE);
    assert_eq!(browser.text("h1").unwrap(), "Raum 204", "the room is found by the phone's address");
    let colleague = browser.text("main .flash").unwrap();
    assert!(colleague.contains("frau-groß"), "who set it is named: {colleague:?}");
    take_pictures(&mut browser);

    two_taps(&pages, &mut browser);

    seats_follow_the_kernel(&pages, &mut browser);
    the_language_is_changed(&mut browser);
    assert_eq!(browser.faults(), Vec::<String>::new());
}

#[test]
fn the_switch_works_without_scripts() {
    let pages = Pages::serve();
    pages.sit_in_the_room();
    let mut browser = pages.browser(Screen::PHONE);
    browser.run_scripts(false).unwrap();
    pages.sign_in(&mut browser, "lehrerin");
    two_taps(&pages, &mut browser);

    let seat = "li.tile form button[value=off]";
    let before = rules(&pages).len();
    browser.and_load(|browser| browser.tap(seat)).unwrap();
    assert!(browser.text(".flash.good").unwrap().contains("Internet"), "one seat can be set, too");
    assert_ne!(rules(&pages).len(), before);
    the_language_is_changed(&mut browser);
    assert_eq!(browser.faults(), Vec::<String>::new());
}

/// From the open page: how long, and which level.
fn two_taps(pages: &Pages, browser: &mut Browser) {
    browser.open(&pages.address("/")).unwrap();
    browser.tap(".chips input[value='45'] + span").unwrap();
    browser.and_load(|browser| browser.tap(".level.off")).unwrap();
    let room: Vec<Rule> = rules(pages)
        .into_iter()
        .filter(|rule| rule.layer == Layer::Grant && rule.target == Target::Room(pages.school.room))
        .collect();
    let [rule] = room.as_slice() else { panic!("one rule holds for the room: {room:?}") };
    assert_eq!((rule.setting.level, rule.created_by.as_str()), (Level::Off, "lehrerin"));
    let ends = rule.ends_at.unwrap();
    assert!(in_secs(44 * 60) < ends && ends <= in_secs(45 * 60), "{ends:?}");
    assert_eq!(browser.value("document.querySelector('.level[aria-pressed=true]').value").unwrap(), "off");
}

fn rules(pages: &Pages) -> Vec<Rule> {
    let (book, _) = pages.runtime.block_on(pages.inventory.gate_book(clock::now())).unwrap();
    book.rules().cloned().collect()
}

/// A seat is grey until the kernel was read to do what was said; then it changes on the open page.
fn seats_follow_the_kernel(pages: &Pages, browser: &mut Browser) {
    let tile = format!(
        "Array.from(document.querySelectorAll('li.tile')).find(tile => tile.innerText.includes('{SEAT}'))"
    );
    browser.until(&format!("{tile}.matches('.unknown')")).unwrap();
    browser.value("window.opened = true").unwrap();
    let by = By { actor: "gate", at: clock::now() };
    let off = [(pages.school.device, Level::Off, Some(in_secs(2700)))];
    pages.runtime.block_on(pages.inventory.confirm_levels(by, &off)).unwrap();
    browser.until(&format!("{tile}.matches('.off')")).unwrap();
    assert_eq!(browser.value("window.opened").unwrap(), true, "the page was loaded anew");
}

fn the_language_is_changed(browser: &mut Browser) {
    let path = browser.value("location.pathname").unwrap();
    browser.tap("label[for=menu]").unwrap();
    browser.and_load(|browser| browser.tap("form[action='/language'] button")).unwrap();
    assert_eq!(browser.value("document.documentElement.lang").unwrap(), "en");
    assert_eq!(browser.value("location.pathname").unwrap(), path, "it is the same page");
    assert!(browser.text(".level.off").unwrap().starts_with("Off"));
}

fn take_pictures(browser: &mut Browser) {
    for (name, screen) in [
        ("mein-raum-desktop", Screen::DESKTOP),
        ("mein-raum-phone-dark", Screen::PHONE.dark()),
        ("mein-raum-phone", Screen::PHONE),
    ] {
        browser.show_on(screen).unwrap();
        browser.picture(&picture(name)).unwrap();
    }
}

/// The sample school's first device.
const SEAT: &str = "r204-pc01";
