//! Reads lists of domain names in the formats that their publishers use, each line for itself.
//!
//! | Format                               | Lines                                                                    |
//! |--------------------------------------|--------------------------------------------------------------------------|
//! | hosts(5)                             | `0.0.0.0 name name`, also with a loopback address                         |
//! | domains                              | `name`, `*.name`, `.name`                                                 |
//! | Adblock                              | <code>&#124;&#124;name^</code>, exceptions <code>@@&#124;&#124;name^</code>, options about whole domains |
//! | RPZ (draft-vixie-dnsop-dns-rpz)      | `name CNAME .`, `*.`, `rpz-passthru.`, `rpz-drop.`, or local data         |
//! | RFC 5891                             | names with letters beyond ASCII                                          |
//!
//! However it is written, an entry means the name and everything below it: publishers differ in whether `*.name` holds `name`, and
//! whoever wants a domain gone wants its sub-domains gone. Comments begin with `#`, `!` or `;`. Not read: rules about parts of pages
//! and addresses, which DNS cannot follow; they are counted, so that it can be told how much of a list takes effect.
//!
//! A [`Reader`] is fed pieces of any size and holds at most one line.

use std::net::IpAddr;

use hickory_proto::rr::Name;

/// Reads one list; every name goes to `sink`, in wire form and lower case, with whether it is an exception.
#[derive(Debug)]
pub(crate) struct Reader<S> {
    sink: S,
    /// The beginning of a line whose end has not come yet.
    started: Vec<u8>,
    /// The line is too long, and the rest of it is skipped.
    skipping: bool,
    /// The zone that names of a zone file are relative to, in lower case and without dots at the ends.
    origin: Vec<u8>,
    /// Inside of a record that goes over several lines.
    in_parentheses: bool,
    /// Addresses of pages mean their hosts.
    pages: bool,
    report: Report,
}

/// What was in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Lines, also empty ones.
    pub(crate) lines: u64,
    /// Names, counted as often as they occur.
    pub(crate) names: u64,
    /// Names that are excepted.
    pub(crate) exceptions: u64,
    /// Rules that are no matter of DNS.
    pub(crate) ignored: u64,
    /// Lines that make no sense.
    pub(crate) bad: u64,
    /// The first of them.
    pub(crate) first_bad: Vec<BadLine>,
}

/// A line that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// Its number; the first line is 1.
    pub(crate) line: u64,
    /// Its beginning.
    pub(crate) text: String,
    /// What is wrong with it.
    pub(crate) problem: &'static str,
}

/// Why a line gives no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skip {
    /// It is not about whole domains.
    Ignored,
    /// It makes no sense.
    Bad(&'static str),
}

impl<S: FnMut(&[u8], bool)> Reader<S> {
    /// A reader at the beginning of a list.
    pub(crate) fn new(sink: S) -> Self {
        Self {
            sink,
            started: Vec::new(),
            skipping: false,
            origin: Vec::new(),
            in_parentheses: false,
            pages: false,
            report: Report::default(),
        }
    }

    /// A reader for a list that people write: they paste the address of a page and mean its host. Where a publisher names a page he
    /// means the page, and the host may be one that everybody needs.
    pub(crate) fn for_people(sink: S) -> Self {
        Self { pages: true, ..Self::new(sink) }
    }

    /// Reads a piece of the list.
    pub(crate) fn feed(&mut self, mut piece: &[u8]) {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = piece.split_at(end);
            piece = rest.get(1..).unwrap_or_default();
            if self.started.is_empty() && !self.skipping {
                self.line(line);
            } else {
                self.keep(line);
                self.end_of_line();
            }
        }
        self.keep(piece);
    }

    /// Reads the last line, and says what was in the list.
    pub(crate) fn finish(mut self) -> Report {
        if !self.started.is_empty() || self.skipping {
            self.end_of_line();
        }
        self.report
    }

    fn keep(&mut self, part: &[u8]) {
        if self.started.len() + part.len() > LINE_BYTES_MAX {
            self.skipping = true;
        }
        if !self.skipping {
            self.started.extend_from_slice(part);
        }
    }

    fn end_of_line(&mut self) {
        let mut line = std::mem::take(&mut self.started);
        if self.skipping {
            self.skipping = false;
            self.report.lines += 1;
            self.note(&line, Skip::Bad("the line is too long"));
        } else {
            self.line(&line);
        }
        line.clear();
        self.started = line;
    }

    fn line(&mut self, line: &[u8]) {
        self.report.lines += 1;
        let first = self.report.lines == 1;
        let line = if first { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line };
        let line = line.trim_ascii();
        if self.in_parentheses {
            self.in_parentheses = !line.contains(&b')');
            return;
        }
        let done = match line {
            _ if line.len() > LINE_BYTES_MAX => Err(Skip::Bad("the line is too long")),
            // Comments, and the first line of Adblock lists.
            [] | [b'#' | b'!' | b';', ..] | [b'[', .., b']'] => Ok(()),
            [b'$', ..] => self.directive(line),
            [b'@', b'@', rule @ ..] => self.adblock(rule, true),
            [b'|', ..] => self.adblock(line, false),
            _ => self.words(line),
        };
        if let Err(skip) = done {
            self.note(line, skip);
        }
    }

    fn note(&mut self, line: &[u8], skip: Skip) {
        match skip {
            Skip::Ignored => self.report.ignored += 1,
            Skip::Bad(problem) => {
                self.report.bad += 1;
                if self.report.first_bad.len() < BAD_LINES_KEPT {
                    let text = String::from_utf8_lossy(line).chars().take(BAD_TEXT_CHARS).collect();
                    self.report.first_bad.push(BadLine { line: self.report.lines, text, problem });
                }
            }
        }
    }

    /// `$ORIGIN` and the like.
    fn directive(&mut self, line: &[u8]) -> Result<(), Skip> {
        let mut words = words(line);
        match words.next() {
            Some(word) if word.eq_ignore_ascii_case(b"$ORIGIN") => {
                self.origin = zone(words.next().unwrap_or_default());
                Ok(())
            }
            Some(word) if word.eq_ignore_ascii_case(b"$TTL") => Ok(()),
            _ => Err(Skip::Ignored),
        }
    }

    /// A rule that begins with two bars, without the `@@` of exceptions.
    fn adblock(&mut self, rule: &[u8], exception: bool) -> Result<(), Skip> {
        let rule = rule.strip_prefix(b"||").ok_or(Skip::Ignored)?;
        let end = rule.iter().position(|byte| ENDS_ADBLOCK_NAME.contains(byte)).unwrap_or(rule.len());
        let (name, rest) = rule.split_at(end);
        let rest = rest.strip_prefix(b"^").unwrap_or(rest);
        let rest = rest.strip_prefix(b"|").unwrap_or(rest);
        let about_the_domain = match rest {
            [] => true,
            [b'$', options @ ..] => options.split(|byte| *byte == b',').all(|o| DOMAIN_OPTIONS.contains(&o)),
            _ => false,
        };
        if !about_the_domain || name.iter().skip(1).any(|byte| *byte == b'*') {
            return Err(Skip::Ignored);
        }
        self.name(name, exception)
    }

    fn words(&mut self, line: &[u8]) -> Result<(), Skip> {
        if hides_elements(line) {
            return Err(Skip::Ignored);
        }
        let mut words = words(line);
        let first = words.next().unwrap_or_default();
        let Some(second) = words.next() else {
            let first = if self.pages { host(first) } else { first };
            return match first {
                _ if first.iter().any(|byte| PAGE_RULE.contains(byte)) => Err(Skip::Ignored),
                _ if address(first).is_some() => Err(Skip::Ignored),
                _ => self.name(first, false),
            };
        };
        match address(first) {
            Some(address) => self.hosts(address, std::iter::once(second).chain(words)),
            None => self.resource_record(line, first, std::iter::once(second).chain(words)),
        }
    }

    fn hosts<'l>(&mut self, address: IpAddr, names: impl Iterator<Item = &'l [u8]>) -> Result<(), Skip> {
        let nowhere = address.is_unspecified() || address.is_loopback();
        if !nowhere {
            // An address of its own, or one of the lines that every hosts file has.
            return Err(Skip::Ignored);
        }
        let mut outcome = Ok(());
        // A single label is what the machine calls itself.
        for name in names.filter(|name| name.contains(&b'.') && self::address(name).is_none()) {
            outcome = outcome.and(self.name(name, false));
        }
        outcome
    }

    fn resource_record<'l>(
        &mut self,
        line: &[u8],
        owner: &[u8],
        mut words: impl Iterator<Item = &'l [u8]>,
    ) -> Result<(), Skip> {
        if [b"IN".as_slice(), b"NS", b"SOA"].iter().any(|word| owner.eq_ignore_ascii_case(word)) {
            // A record of the zone itself, whose owner stands in the line above.
            self.in_parentheses = opens(line);
            return Ok(());
        }
        let kind = words
            .find(|word| !word.eq_ignore_ascii_case(b"IN") && !word.iter().all(|byte| byte.is_ascii_digit()));
        let kind = kind.unwrap_or_default().to_ascii_uppercase();
        let exception = match kind.as_slice() {
            b"SOA" => {
                if owner != b"@" {
                    self.origin = zone(owner);
                }
                self.in_parentheses = opens(line);
                return Ok(());
            }
            b"NS" => return Ok(()),
            b"CNAME" => match words.next().unwrap_or_default() {
                b"rpz-passthru." => true,
                b"rpz-tcp-only." => return Err(Skip::Ignored),
                _ => false,
            },
            b"A" | b"AAAA" => false,
            b"TXT" | b"MX" | b"DNAME" | b"SRV" | b"HTTPS" | b"SVCB" => return Err(Skip::Ignored),
            _ => return Err(Skip::Bad("neither a hosts line, nor a domain, nor a rule for domains")),
        };
        let owner = owner.to_ascii_lowercase();
        let name = within(&owner, &self.origin);
        if RPZ_TRIGGERS.iter().any(|trigger| name.ends_with(trigger)) || name == b"@" {
            return Err(Skip::Ignored);
        }
        self.name(name, exception)
    }

    fn name(&mut self, text: &[u8], exception: bool) -> Result<(), Skip> {
        let text = text.strip_prefix(b"*").unwrap_or(text);
        let text = text.strip_prefix(b".").unwrap_or(text);
        let text = text.strip_suffix(b".").unwrap_or(text);
        let mut buffer = [0; NAME_BYTES_MAX];
        if text.is_ascii() {
            let bytes = wire_name(text, &mut buffer)?;
            (self.sink)(buffer.get(..bytes).unwrap_or_default(), exception);
        } else {
            let bad = Skip::Bad("this is no domain name");
            let text = std::str::from_utf8(text).map_err(|_| bad)?;
            let ascii = Name::from_utf8(text).map_err(|_| bad)?.to_ascii();
            let bytes = wire_name(ascii.trim_end_matches('.').as_bytes(), &mut buffer)?;
            (self.sink)(buffer.get(..bytes).unwrap_or_default(), exception);
        }
        if exception {
            self.report.exceptions += 1;
        } else {
            self.report.names += 1;
        }
        Ok(())
    }
}

/// Writes a name in wire form and lower case; returns its length there.
fn wire_name(text: &[u8], out: &mut [u8; NAME_BYTES_MAX]) -> Result<usize, Skip> {
    let mut at = 0;
    let mut digits_only = true;
    for label in text.split(|byte| *byte == b'.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length));
        let length = length.ok_or(Skip::Bad("a part of the name is empty or longer than 63 characters"))?;
        // One byte must be left for the root.
        let room = out.get_mut(at..at + 1 + label.len()).filter(|_| at + 2 + label.len() <= NAME_BYTES_MAX);
        let [first, rest @ ..] = room.ok_or(Skip::Bad("the name is longer than 253 characters"))? else {
            return Err(Skip::Bad("this is no domain name"));
        };
        *first = length;
        digits_only = true;
        for (to, from) in rest.iter_mut().zip(label) {
            if !from.is_ascii_alphanumeric() && !matches!(from, b'-' | b'_') {
                return Err(Skip::Bad("this is no domain name"));
            }
            digits_only &= from.is_ascii_digit();
            *to = from.to_ascii_lowercase();
        }
        at += 1 + label.len();
    }
    if digits_only {
        // No top-level domain is a number (RFC 3696 section 2); this is an address, or a part of one.
        return Err(Skip::Ignored);
    }
    if let Some(root) = out.get_mut(at) {
        *root = 0;
    }
    Ok(at + 1)
}

/// The words before the comment.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .take_while(|word| !matches!(word, [b'#' | b';', ..]))
}

/// The host of a page's address, with or without `https://`.
fn host(word: &[u8]) -> &[u8] {
    let rest = word.strip_prefix(b"https://").or(word.strip_prefix(b"http://")).unwrap_or(word);
    let host = rest.split(|byte| b"/:?#".contains(byte)).next().unwrap_or_default();
    let is_name = host.contains(&b'.') && !rest.starts_with(b"/");
    if is_name { host } else { word }
}

/// An address as hosts files write it, also with a zone such as `fe80::1%lo0`.
fn address(word: &[u8]) -> Option<IpAddr> {
    let looks_so = word.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') || word.contains(&b':');
    let word = word.split(|byte| *byte == b'%').next()?;
    if looks_so { std::str::from_utf8(word).ok()?.parse().ok() } else { None }
}

/// Whether this is a rule about elements of pages, such as `example.com##.banner`.
fn hides_elements(line: &[u8]) -> bool {
    let Some(at) = line.iter().position(|byte| *byte == b'#') else { return false };
    let rest = line.get(at + 1..).unwrap_or_default();
    let marked = |marks: &[u8]| rest.starts_with(marks);
    marked(b"#") || marked(b"@#") || marked(b"?#") || marked(b"$#") || marked(b"%#")
}

fn opens(line: &[u8]) -> bool {
    line.contains(&b'(') && !line.contains(&b')')
}

fn zone(name: &[u8]) -> Vec<u8> {
    name.strip_suffix(b".").unwrap_or(name).to_ascii_lowercase()
}

/// A name of a zone file without the zone's own name at its end.
fn within<'n>(name: &'n [u8], origin: &[u8]) -> &'n [u8] {
    let Some(full) = name.strip_suffix(b".") else { return name };
    match full.strip_suffix(origin).and_then(|rest| rest.strip_suffix(b".")) {
        Some(relative) if !origin.is_empty() => relative,
        _ => full,
    }
}

/// Longest line. The longest name has 253 characters; hosts lines may hold several.
const LINE_BYTES_MAX: usize = 4096;
const NAME_BYTES_MAX: usize = 255;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const BAD_LINES_KEPT: usize = 5;
const BAD_TEXT_CHARS: usize = 80;
const ENDS_ADBLOCK_NAME: &[u8] = b"^/$|:?=&~!";
/// Characters of rules about addresses of pages.
const PAGE_RULE: &[u8] = b"/^$|=?&~";
/// Options with which a rule still means every use of a domain.
const DOMAIN_OPTIONS: [&[u8]; 4] = [b"important", b"all", b"document", b"doc"];
/// Names of a policy zone that are not about the name asked for.
const RPZ_TRIGGERS: [&[u8]; 5] =
    [b".rpz-ip", b".rpz-nsip", b".rpz-nsdname", b".rpz-client-ip", b".rpz-client"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text_of(wire: &[u8]) -> String {
        let (mut text, mut rest) = (String::new(), wire);
        while let [length @ 1..=63, after @ ..] = rest {
            let (label, next) = after.split_at(usize::from(*length));
            text = text + std::str::from_utf8(label).unwrap() + ".";
            rest = next;
        }
        text.pop();
        text
    }

    fn read_in(text: &[u8], piece: usize) -> (Vec<String>, Report) {
        let mut names = Vec::new();
        let mut reader = Reader::new(|name: &[u8], exception| {
            names.push(if exception { format!("@{}", text_of(name)) } else { text_of(name) });
        });
        text.chunks(piece.max(1)).for_each(|piece| reader.feed(piece));
        let report = reader.finish();
        (names, report)
    }

    fn read(text: &str) -> (Vec<String>, Report) {
        read_in(text.as_bytes(), usize::MAX)
    }

    #[test]
    fn every_usual_way_to_write_a_domain_is_read() {
        for (line, expected) in [
            ("0.0.0.0 ads.example", "ads.example"),
            ("127.0.0.1\tADS.Example\tb.example # two", "ads.example b.example"),
            (":: six.example", "six.example"),
            ("ads.example", "ads.example"),
            ("  ads.example.  ", "ads.example"),
            ("*.ads.example", "ads.example"),
            (".ads.example", "ads.example"),
            ("ads.example # comment", "ads.example"),
            ("zip", "zip"),
            ("_dmarc.under-score.example", "_dmarc.under-score.example"),
            ("||ads.example^", "ads.example"),
            ("||ads.example^|", "ads.example"),
            ("||ads.example", "ads.example"),
            ("||*.ads.example^", "ads.example"),
            ("||ads.example^$important", "ads.example"),
            ("||ads.example^$document,all", "ads.example"),
            ("@@||good.example^", "@good.example"),
            ("@@||good.example^$important", "@good.example"),
            ("ads.example CNAME .", "ads.example"),
            ("*.ads.example 300 IN CNAME *.", "ads.example"),
            ("good.example IN CNAME rpz-passthru.", "@good.example"),
            ("ads.example A 127.0.0.1", "ads.example"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("||bücher.example^", "xn--bcher-kva.example"),
        ] {
            let (names, report) = read(line);
            assert_eq!(names.join(" "), expected, "{line}");
            assert_eq!((report.ignored, report.bad), (0, 0), "{line}");
        }
    }

    #[test]
    fn people_paste_addresses_of_pages_and_mean_the_host() {
        for (line, people, publishers) in [
            ("https://www.geogebra.org/calculator?lang=de#x", "www.geogebra.org", ""),
            ("http://Bücher.example", "xn--bcher-kva.example", ""),
            ("www.geogebra.org/calculator", "www.geogebra.org", ""),
            ("https://x.example:8443/", "x.example", ""),
            ("x.example", "x.example", "x.example"),
            ("/ads/banner.js", "", ""),
            ("https://localhost/", "", ""),
        ] {
            let mut names = Vec::new();
            let mut reader = Reader::for_people(|name: &[u8], _| names.push(text_of(name)));
            reader.feed(line.as_bytes());
            reader.finish();
            assert_eq!(
                (names.join(" "), read(line).0.join(" ")),
                (people.into(), publishers.into()),
                "{line}"
            );
        }
    }

    #[test]
    fn what_is_no_entry_is_left_alone() {
        for line in [
            "",
            "# comment",
            "! comment",
            "; comment",
            "[Adblock Plus 2.0]",
            "$TTL 300",
            "@ 300 IN SOA localhost. root.localhost. 1 2 3 4 5",
            "  IN NS localhost.",
            "127.0.0.1 localhost",
            "::1 ip6-localhost ip6-loopback",
            "0.0.0.0 0.0.0.0",
        ] {
            let (names, report) = read(line);
            assert_eq!((names.len(), report.ignored, report.bad), (0, 0, 0), "{line}");
        }
    }

    #[test]
    fn rules_that_are_no_matter_of_dns_are_counted() {
        for line in [
            "||ads.example/banner.js",
            "||ads.example^$third-party",
            "||ads.example^$important,script",
            "||ads*.example^",
            "|https://ads.example|",
            "/banner/*",
            "example.com##.banner",
            "example.com#@#.banner",
            "@@|http://good.example",
            "93.184.216.34 mapped.example",
            "fe80::1%lo0 localhost.localdomain",
            "192.0.2.1",
            "32.1.0.0.127.rpz-ip CNAME .",
            "$INCLUDE other.zone",
        ] {
            let (names, report) = read(line);
            assert_eq!((names.len(), report.ignored + report.bad), (0, 1), "{line}");
        }
    }

    #[test]
    fn bad_lines_are_counted_and_the_first_ones_named() {
        let long = "a".repeat(64);
        let text = format!(
            "good.example\n{long}.example\nten words that are no rule\na..example\n<html>\nx y\nbad!name\n{}",
            "x".repeat(5000)
        );
        let (names, report) = read(&text);
        assert_eq!(names, ["good.example"]);
        assert_eq!((report.lines, report.bad, report.first_bad.len()), (8, 7, 5));
        assert_eq!(report.first_bad[0].line, 2);
        assert!(report.first_bad[0].problem.contains("63"));
        assert_eq!(report.first_bad[3].text, "<html>");
        // The longest name that there can be is one, a longer one is not.
        let label = "b".repeat(61);
        let longest = [label.as_str(); 4].join(".") + ".exam";
        assert_eq!((longest.len(), read(&longest).0.len()), (252, 1));
        assert_eq!(read(&format!("{longest}ple")).1.bad, 1);
    }

    #[test]
    fn a_policy_zone_is_read_with_its_own_name_cut_off() {
        let zone = "\u{feff}$TTL 2h\r\n@ IN SOA localhost. root.localhost. (\r\n  2026 ; serial\r\n  3600 900\r\n  86400 60 )\r\n\
                    \x20 IN NS localhost.\r\n$ORIGIN rpz.school.example.\r\nads.example CNAME . ; why\r\n\
                    *.ads.example CNAME .\r\nfull.example.rpz.school.example. CNAME .\r\nother.example. IN A 127.0.0.1\r\n\
                    ok.example CNAME rpz-passthru.\r\n24.0.0.0.10.rpz-client-ip CNAME .\r\nt.example TXT \"x\"\r\n";
        let (names, report) = read(zone);
        assert_eq!(names, ["ads.example", "ads.example", "full.example", "other.example", "@ok.example"]);
        assert_eq!((report.ignored, report.bad), (2, 0), "{report:?}");
        let named = "rpz.school.example. 60 IN SOA a. b. 1 2 3 4 5\nx.example.rpz.school.example. CNAME .";
        assert_eq!(read(named).0, ["x.example"]);
    }

    proptest! {
        /// Whatever a list holds, and in whatever pieces it comes, there is no crash and the same result.
        #[test]
        fn nothing_in_a_list_crashes_and_pieces_do_not_matter(
            lines in proptest::collection::vec("[ -~]{0,40}|[a-z.*|@^$#]{0,20}|\\PC{0,10}|[0-9.:]{1,12} [a-z.]{0,10}", 0..20),
            noise in proptest::collection::vec(any::<u8>(), 0..60),
            piece in 1_usize..50,
        ) {
            let text = [lines.join("\n").into_bytes(), noise].concat();
            let whole = read_in(&text, usize::MAX);
            prop_assert_eq!(&whole, &read_in(&text, piece));
            prop_assert!(whole.0.len() as u64 == whole.1.names + whole.1.exceptions);
        }
    }
}
