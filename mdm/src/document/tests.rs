//! Documents that are well made, badly made and made to hurt.

use plist::{Dictionary, Value};
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 4 << 20;

fn xml(body: &str) -> Vec<u8> {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\">{body}</plist>").into_bytes()
}

fn nested(levels: usize) -> Vec<u8> {
    xml(&("<array>".repeat(levels) + &"</array>".repeat(levels)))
}

fn refusal(bytes: &[u8]) -> String {
    match parse_value(bytes, LIMIT) {
        Ok(value) => format!("{value:?}"),
        Err(error) => error.to_string(),
    }
}

/// A worker thread of tokio has 2 MiB of stack; what overflows it ends the process, tests included.
fn on_a_worker_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap()
}

/// A binary list of `objects`; references have two bytes, offsets four.
fn binary(objects: &[Vec<u8>], root: u64) -> Vec<u8> {
    let mut bytes = b"bplist00".to_vec();
    let mut offsets = Vec::new();
    for object in objects {
        offsets.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
        bytes.extend(object);
    }
    let table = u64::try_from(bytes.len()).unwrap();
    bytes.extend(offsets);
    bytes.extend([0, 0, 0, 0, 0, 0, 4, 2]);
    for number in [u64::try_from(objects.len()).unwrap(), root, table] {
        bytes.extend(number.to_be_bytes());
    }
    bytes
}

/// An array of up to 14 members.
fn array(members: &[u16]) -> Vec<u8> {
    let mut object = vec![0xa0 | u8::try_from(members.len()).unwrap()];
    object.extend(members.iter().flat_map(|member| member.to_be_bytes()));
    object
}

#[test]
fn a_hundred_thousand_nested_arrays_are_refused() {
    let error = on_a_worker_stack(|| refusal(&nested(100_000)));
    assert_eq!(error, "the property list is nested deeper than 32 levels");
}

#[test]
fn a_binary_list_of_nested_arrays_is_refused() {
    let levels = 50_000;
    let mut objects: Vec<_> = (1..=levels).map(|next| array(&[next])).collect();
    objects.push(array(&[]));
    let error = on_a_worker_stack(move || refusal(&binary(&objects, 0)));
    assert_eq!(error, "the property list is nested deeper than 32 levels");
}

#[test]
fn thirty_two_levels_are_taken_in_both_formats_and_thirty_three_in_none() {
    let chain = |levels: u16| {
        let mut objects: Vec<_> = (1..levels).map(|next| array(&[next])).collect();
        objects.push(array(&[]));
        binary(&objects, 0)
    };
    assert!(parse_value(&nested(32), LIMIT).is_ok());
    assert!(parse_value(&chain(32), LIMIT).is_ok());
    assert!(matches!(parse_value(&nested(33), LIMIT), Err(DocumentError::TooDeep)));
    assert!(matches!(parse_value(&chain(33), LIMIT), Err(DocumentError::TooDeep)));
    let deepest = parse_value(&nested(32), LIMIT).unwrap();
    assert!(write(&deepest).is_ok());
    assert!(matches!(write(&vec![deepest]), Err(DocumentError::TooDeep)));
}

#[test]
fn levels_that_close_again_do_not_add_up() {
    assert!(
        parse_value(&xml(&format!("<array>{}</array>", "<array><dict/></array>".repeat(5000))), LIMIT)
            .is_ok()
    );
}

#[test]
fn a_binary_list_that_unfolds_into_a_billion_is_refused() {
    // Thirty arrays, each of which names the next one twice.
    let mut objects: Vec<_> = (1..30).map(|next| array(&[next, next])).collect();
    objects.push(array(&[]));
    let error = on_a_worker_stack(move || refusal(&binary(&objects, 0)));
    assert_eq!(error, format!("the property list is longer than the {LIMIT} bytes that are taken here"));
}

#[test]
fn a_long_text_that_is_named_often_counts_as_often() {
    let mut text = vec![0x5f, 0x12];
    text.extend(1_000_000_u32.to_be_bytes());
    text.extend(vec![b'a'; 1_000_000]);
    let list = |times| binary(&[array(&vec![1; times]), text.clone()], 0);
    assert!(parse_value(&list(4), LIMIT).is_ok());
    assert!(matches!(parse_value(&list(5), LIMIT), Err(DocumentError::TooLong { .. })));
}

#[test]
fn a_binary_list_that_contains_itself_is_refused() {
    assert_eq!(refusal(&binary(&[array(&[0])], 0)), "the property list is nested deeper than 32 levels");
}

#[test]
fn damaged_binary_lists_are_refused() {
    let whole = binary(&[array(&[1]), vec![0x51, b'a']], 0);
    assert!(parse_value(&whole, LIMIT).is_ok());
    for length in 8..whole.len() {
        assert!(parse_value(&whole[..length], LIMIT).is_err(), "cut at {length}");
    }
    let huge = |at: usize| {
        let mut bytes = whole.clone();
        let place = bytes.len() - 24 + at * 8;
        bytes[place..place + 8].fill(0xff);
        bytes
    };
    for number in 0..3 {
        assert!(matches!(parse_value(&huge(number), LIMIT), Err(DocumentError::Binary { .. })), "{number}");
    }
}

#[test]
fn only_property_lists_are_taken() {
    let no_list =
        "this is no property list: it begins with neither <?xml, <!DOCTYPE plist, <plist nor bplist00";
    for bytes in
        [&b""[..], b"<html></html>", b"{ a = b; }", b"hello", b"<!DOCTYPE html><plist/>", b"bplist01"]
    {
        assert_eq!(refusal(bytes), no_list, "{bytes:?}");
    }
    // These begin rightly, and must not be tried as another format afterwards.
    assert!(parse_value(b"<?xml version=\"1.0\"?><html>text</html>", LIMIT).is_err());
    assert!(parse_value(b"<plist> ( a, b ) </plist>", LIMIT).is_err());
}

#[test]
fn a_byte_order_mark_and_space_may_stand_in_front() {
    let document = [b"\xef\xbb\xbf \n".as_slice(), &xml("<string>a</string>")].concat();
    assert_eq!(parse_value(&document, LIMIT).unwrap(), Value::from("a"));
}

#[test]
fn what_would_be_read_with_something_missing_is_refused() {
    let at = "at byte 60; write it as plain text and escapes";
    assert_eq!(
        refusal(&xml("<string><![CDATA[secret]]></string>")),
        format!("the property list has a CDATA section at byte 68; {}", &at[12..])
    );
    assert!(refusal(&xml("<string>a&school;b</string>")).contains("an entity that XML does not define"));
    assert_eq!(parse_value(&xml("<string>&lt;&#65;&amp;</string>"), LIMIT).unwrap(), Value::from("<A&"));
    let bomb = b"<!DOCTYPE plist [<!ENTITY a \"b\">]><plist><string>&a;</string></plist>";
    assert!(refusal(bomb).contains("declarations of its own"));
}

#[test]
fn a_document_is_bounded_by_its_length() {
    let document = xml("<string>a</string>");
    assert!(parse_value(&document, document.len()).is_ok());
    assert!(matches!(parse_value(&document, document.len() - 1), Err(DocumentError::TooLong { .. })));
}

#[test]
fn errors_do_not_repeat_what_stood_in_the_document() {
    let error = parse::<u32>(&xml("<string>hunter2</string>"), LIMIT).unwrap_err();
    let error = anyhow_like(&error);
    assert!(!error.contains("hunter2"), "{error}");
}

/// The whole chain, as the log prints it.
fn anyhow_like(error: &dyn std::error::Error) -> String {
    let source = error.source().map(anyhow_like).unwrap_or_default();
    format!("{error} {error:?} {source}")
}

#[test]
fn control_characters_are_not_written() {
    assert!(matches!(write(&"a\u{7}b"), Err(DocumentError::Character { code: 7 })));
    let key: Dictionary = [("a\0", Value::from(1))].into_iter().collect();
    assert!(matches!(write(&key), Err(DocumentError::Character { code: 0 })));
    assert_eq!(parse::<String>(&write(&"a\tb\n c ").unwrap(), LIMIT).unwrap(), "a\tb\n c ");
}

#[test]
fn json_becomes_a_property_list() {
    let json =
        serde_json::json!({"a": [1, -2, 2.5, true, "x"], "n": null, "d": {"$date": "2026-11-22T08:00:00Z"}});
    let value = value_from_json(&json).unwrap().into_dictionary().unwrap();
    assert_eq!(value.keys().collect::<Vec<_>>(), ["a", "d"], "null is an absent key");
    assert_eq!(value.get("d").unwrap().as_date().unwrap().to_xml_format(), "2026-11-22T08:00:00Z");
    let fails = |json: serde_json::Value| value_from_json(&json).unwrap_err().to_string();
    assert_eq!(fails(serde_json::json!([null])), "null cannot be written as a property list");
    assert_eq!(
        fails(serde_json::json!({"$data": "?"})),
        "a $data that is no base64 cannot be written as a property list"
    );
    let deep = (0..33).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
    assert_eq!(fails(deep), "the property list is nested deeper than 32 levels");
}

fn text() -> impl Strategy<Value = String> {
    // A carriage return is read back as it stands, but other readers of XML make a line feed of it.
    "[ -~\t\näöüß€😀]{0,12}"
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9_f64).prop_map(Value::Real),
        text().prop_map(Value::String),
        proptest::collection::vec(any::<u8>(), 0..80).prop_map(Value::Data),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::vec((text(), inner), 0..6)
                .prop_map(|entries| Value::Dictionary(entries.into_iter().collect())),
        ]
    })
}

fn levels(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(levels).max().unwrap_or_default(),
        Value::Dictionary(entries) => 1 + entries.values().map(levels).max().unwrap_or_default(),
        _ => 0,
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(value in value()) {
        prop_assert_eq!(parse_value(&write(&value).unwrap(), LIMIT).unwrap(), value);
    }

    #[test]
    fn a_binary_list_says_the_same(value in value()) {
        let mut bytes = Vec::new();
        value.to_writer_binary(&mut bytes).unwrap();
        prop_assert_eq!(parse_value(&bytes, LIMIT).unwrap(), value);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for beginning in [&b""[..], b"bplist00", b"<plist>", b"<?xml version=\"1.0\"?><plist><array>"] {
            let document = [beginning, &bytes].concat();
            let _ = parse_value(&document, LIMIT);
        }
    }

    #[test]
    fn arbitrary_markup_does_no_harm(parts in proptest::collection::vec(0..MARKUP.len(), 0..60)) {
        let body: String = parts.iter().map(|&part| MARKUP[part]).collect();
        let _ = parse_value(&xml(&body), LIMIT);
    }

    #[test]
    fn levels_do_not_hide_behind_markup(depth in 1..60_usize, parts in proptest::collection::vec((0..60_usize, 0..DISGUISE.len()), 0..8)) {
        let mut opening = vec!["<array>"; depth];
        for (at, part) in parts {
            opening.insert(at.min(opening.len()), DISGUISE[part]);
        }
        if let Ok(value) = parse_value(&xml(&(opening.concat() + &"</array>".repeat(depth))), LIMIT) {
            prop_assert!(levels(&value) <= MAX_DEPTH);
        }
    }

    #[test]
    fn a_damaged_binary_list_does_no_harm(value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = Vec::new();
        value.to_writer_binary(&mut bytes).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = parse_value(&bytes, LIMIT);
    }
}

/// What two readers of XML could understand differently.
const DISGUISE: [&str; 12] = [
    "<!-- </array> -->",
    "<!-- > -->",
    "<!-->",
    "<!--->",
    "<array a=\"</array>\">",
    "<array a='>'>",
    "<array/>",
    "<x:array>",
    "<? </array> ?>",
    "<array\n>",
    "&lt;/array&gt;",
    "</array >",
];

const MARKUP: [&str; 22] = [
    "<array>",
    "</array>",
    "<dict>",
    "</dict>",
    "<key>",
    "</key>",
    "<string>",
    "</string>",
    "<data>",
    "</data>",
    "<integer>",
    "</integer>",
    "<true/>",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?x ",
    "?>",
    "&amp;",
    "a=\"b\"",
    "12",
];
