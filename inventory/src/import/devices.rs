//! Lines about devices.

use std::net::Ipv4Addr;

use super::columns::{Columns, plain};
use super::problem::short;
use super::text::{self, Line};
use super::{File, FileProblem, Form, Format, Problem, What};
use crate::{Hostname, InterfaceKind, MacAddr};

/// A line about a device. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// Number of the line, from 1.
    pub line: usize,
    /// Host name.
    pub name: Option<Hostname>,
    /// Room.
    pub room: Option<String>,
    /// Network cards, each with the address that DHCP is to give it.
    pub cards: Vec<(MacAddr, InterfaceKind, Option<Ipv4Addr>)>,
    /// Name to sign in with, or full name, of the person whose it is.
    pub owner: Option<String>,
    /// Whether it is the staff's.
    pub staff: Option<bool>,
    /// Whether the line cannot be used. The device that it means is then left as it is.
    pub broken: bool,
}

/// Reads a file about devices.
///
/// # Errors
/// The file as a whole cannot be used; a bad line is no such reason.
pub fn read_devices(bytes: &[u8]) -> Result<File<DeviceRow>, FileProblem> {
    let text = text::read(bytes)?;
    let (columns, format) = layout(&text.lines, text.separator)?;
    let skip = usize::from(format == Format::Heading);
    let mut problems = text.problems;
    let rows: Vec<DeviceRow> =
        text.lines.iter().skip(skip).map(|line| row(line, &columns, format, &mut problems)).collect();
    let form = Form { format, encoding: text.encoding, separator: text.separator, ignored: columns.ignored };
    File::of(rows, problems, form)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Column {
    Room,
    Name,
    Mac,
    Ip,
    WlanMac,
    WlanIp,
    Owner,
    Staff,
    /// linuxmuster: what the device is for.
    Purpose,
}

/// The names of columns in exports of CRANIX and FOG, and in files that people write.
const NAMES: &[(Column, &[&str])] = &[
    (Column::Room, &["raum", "raumname", "room", "roomname", "zimmer", "standort", "location"]),
    (
        Column::Name,
        &[
            "name",
            "hostname",
            "rechnername",
            "geraetename",
            "computername",
            "geraet",
            "rechner",
            "device",
            "computer",
            "host",
        ],
    ),
    (
        Column::Mac,
        &[
            "maclan",
            "lanmac",
            "mac",
            "macadresse",
            "macadresselan",
            "macaddress",
            "macaddresslan",
            "primac",
            "hardwareadresse",
            "ethernetmac",
        ],
    ),
    (Column::Ip, &["ip", "ipadresse", "ipaddress", "ipv4", "ipv4adresse", "iplan", "lanip", "festeadresse"]),
    (Column::WlanMac, &["macwlan", "wlanmac", "macadressewlan", "macaddresswlan", "wifimac", "macwifi"]),
    (Column::WlanIp, &["wlanip", "ipwlan", "ipadressewlan", "wifiip"]),
    (Column::Owner, &["besitzer", "besitzerin", "inhaber", "owner", "benutzer", "user"]),
    (
        Column::Staff,
        &["lehrergeraet", "lehrkraeftegeraet", "dienstgeraet", "lehrkraft", "staff", "staffdevice"],
    ),
];

/// linuxmuster: room; host name; group; MAC; IP; two keys; DHCP options; role; six more.
const LINUXMUSTER: &[(Column, usize)] =
    &[(Column::Room, 0), (Column::Name, 1), (Column::Mac, 3), (Column::Ip, 4), (Column::Purpose, 8)];
/// UCS: type, name, MAC, school, address or network. It knows no rooms.
const UCS: &[(Column, usize)] = &[(Column::Name, 1), (Column::Mac, 2), (Column::Ip, 4)];
/// FOG: name, cards, associations.
const FOG: &[(Column, usize)] = &[(Column::Name, 0), (Column::Mac, 1)];

/// The columns and the layout: by the heading, or by where most of the first lines have a MAC address.
fn layout(lines: &[Line], separator: char) -> Result<(Columns<Column>, Format), FileProblem> {
    let first = lines.first().ok_or(FileProblem::Empty)?;
    let columns = Columns::of_heading(first, NAMES);
    let (room, name) = (columns.has(Column::Room), columns.has(Column::Name));
    if (columns.has(Column::Mac) || columns.has(Column::WlanMac)) && (room || name) {
        return Ok((columns, Format::Heading));
    }
    let looked_at = lines.len().min(20);
    let mostly = |at: usize| {
        let found = lines.iter().take(looked_at).filter(|line| !cards(line.field(at)).0.is_empty()).count();
        found * 2 > looked_at
    };
    if first.len() >= 9 && mostly(3) {
        return Ok((Columns::fixed(LINUXMUSTER), Format::LinuxmusterDevices));
    }
    if separator == '\t' && first.len() >= 4 && mostly(2) {
        return Ok((Columns::fixed(UCS), Format::Ucs));
    }
    if separator == ',' && mostly(1) {
        return Ok((Columns::fixed(FOG), Format::Fog));
    }
    Err(FileProblem::UnknownColumns("Raum, Name, MAC"))
}

fn row(line: &Line, columns: &Columns<Column>, format: Format, problems: &mut Vec<Problem>) -> DeviceRow {
    let mut wrong: Vec<What> = Vec::new();
    let name = columns.of(line, Column::Name).and_then(|text| match text.parse() {
        Ok(name) => Some(name),
        Err(problem) => {
            wrong.push(What::Parse(problem));
            None
        }
    });
    let room = columns.of(line, Column::Room).map(str::to_owned);
    if let Some(room) = room.as_ref().filter(|r| r.chars().count() > 60 || r.chars().any(char::is_control)) {
        wrong.push(What::BadName(short(room)));
    }
    let mut found = Vec::new();
    for (mac, ip, kind) in [
        (Column::Mac, Column::Ip, InterfaceKind::Lan),
        (Column::WlanMac, Column::WlanIp, InterfaceKind::Wlan),
    ] {
        let (macs, bad) = cards(columns.of(line, mac).unwrap_or_default());
        wrong.extend(bad.map(What::Parse));
        let ip = columns
            .of(line, ip)
            .map(address)
            .and_then(|read| read.map_err(|what| wrong.push(what)).ok().flatten());
        // The address is the first card's.
        found.extend(macs.into_iter().enumerate().map(|(at, mac)| (mac, kind, ip.filter(|_| at == 0))));
    }
    if found.is_empty() && wrong.iter().all(What::is_hint) {
        wrong.push(What::NoCard);
    }
    let staff = match format {
        Format::LinuxmusterDevices => columns.of(line, Column::Purpose).map(is_for_staff),
        _ => {
            columns.of(line, Column::Staff).and_then(|word| flag(word).map_err(|what| wrong.push(what)).ok())
        }
    };
    let owner = columns.of(line, Column::Owner).map(str::to_owned);
    let broken = wrong.iter().any(|what| !what.is_hint());
    problems.extend(wrong.into_iter().map(|what| Problem::new(line.number, what)));
    DeviceRow { line: line.number, name, room, cards: found, owner, staff, broken }
}

/// The cards in a field (FOG writes several with bars between them), and what is wrong with the first that cannot be read.
fn cards(field: &str) -> (Vec<MacAddr>, Option<crate::ParseError>) {
    let mut macs: Vec<MacAddr> = Vec::new();
    for text in field.split('|').map(str::trim).filter(|text| !text.is_empty()).take(CARDS_MAX) {
        match text.parse() {
            Ok(mac) if macs.contains(&mac) => {}
            Ok(mac) => macs.push(mac),
            Err(problem) => return (macs, Some(problem)),
        }
    }
    (macs, None)
}

/// A fixed address. `DHCP` and a network (the next free address of it, says UCS) are none.
fn address(text: &str) -> Result<Option<Ipv4Addr>, What> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
    let Ok(address) = address.trim().parse::<Ipv4Addr>() else {
        return if text.eq_ignore_ascii_case("dhcp") { Ok(None) } else { Err(What::NoAddress(short(text))) };
    };
    let is_network = prefix
        .parse()
        .is_ok_and(|prefix: u8| prefix < 32 && crate::Cidr::containing(address, prefix).network() == address);
    Ok(Some(address).filter(|_| !is_network))
}

/// linuxmuster's roles of devices that no pupil sits at.
fn is_for_staff(purpose: &str) -> bool {
    matches!(plain(purpose).as_str(), "classroomteachercomputer" | "facultyteachercomputer" | "staffcomputer")
}

fn flag(word: &str) -> Result<bool, What> {
    match plain(word).as_str() {
        "ja" | "j" | "x" | "1" | "yes" | "y" | "true" | "wahr" => Ok(true),
        "nein" | "n" | "0" | "no" | "false" | "falsch" => Ok(false),
        _ => Err(What::NoFlag(short(word))),
    }
}

const CARDS_MAX: usize = 8;
