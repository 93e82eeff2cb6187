//! Commands as words. No shell ever reads them.

use super::values::ValueError;
use serde::{Deserialize, Serialize};

/// A program and its arguments: 1 to 64 words of together at most 8192 bytes, without control characters.
///
/// In every word `{dir}` stands for the folder with the package's files and `{log}` for a file that the installer may write to;
/// other braces stand for themselves, as in product codes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Argv(Vec<String>);

impl Argv {
    /// The words, with the places not filled in.
    pub fn words(&self) -> &[String] {
        &self.0
    }

    /// The words with `{dir}` and `{log}` filled in. What is filled in is not looked at again.
    pub fn expand(&self, dir: &str, log: &str) -> Vec<String> {
        self.0.iter().map(|word| fill(word, dir, log)).collect()
    }

    /// Whether the command needs the package's files.
    pub fn uses_files(&self) -> bool {
        self.0.iter().any(|word| word.contains(DIR))
    }
}

impl TryFrom<Vec<String>> for Argv {
    type Error = ValueError;

    fn try_from(words: Vec<String>) -> Result<Self, ValueError> {
        let bytes: usize = words.iter().map(String::len).sum();
        let clean = words.iter().all(|word| !word.chars().any(char::is_control));
        let named = words.first().is_some_and(|program| !program.trim().is_empty());
        if named && clean && words.len() <= MAX_WORDS && bytes <= MAX_BYTES {
            Ok(Self(words))
        } else {
            Err(ValueError::new(&words.join(" "), WANTED))
        }
    }
}

impl From<Argv> for Vec<String> {
    fn from(argv: Argv) -> Self {
        argv.0
    }
}

fn fill(word: &str, dir: &str, log: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix("dir}") {
            out.push_str(dir);
            rest = after;
        } else if let Some(after) = after.strip_prefix("log}") {
            out.push_str(log);
            rest = after;
        } else {
            out.push('{');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// Splits a Windows command line into words as `CommandLineToArgvW` does with arguments: quotes group, `\"` is a quote, and two
/// quotes inside quotes are one.
/// <https://learn.microsoft.com/en-us/cpp/c-language/parsing-c-command-line-arguments>
pub fn split_windows(line: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let mut slashes = 1;
                while chars.next_if_eq(&'\\').is_some() {
                    slashes += 1;
                }
                let quote = chars.peek() == Some(&'"');
                let kept = if quote { slashes / 2 } else { slashes };
                let word = word.get_or_insert_default();
                word.extend(std::iter::repeat_n('\\', kept));
                if quote && slashes % 2 == 1 {
                    chars.next();
                    word.push('"');
                }
            }
            '"' if quoted && chars.next_if_eq(&'"').is_some() => word.get_or_insert_default().push('"'),
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' | '\t' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The arguments as one line for `CreateProcess`, which [`split_windows`] splits again into the same words.
///
/// Of `NAME=some value` only the value is quoted: `msiexec` reads its line itself and wants properties so.
/// <https://learn.microsoft.com/en-us/windows/win32/msi/command-line-options>
pub fn join_windows<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(quote_windows).collect();
    words.join(" ")
}

fn quote_windows(word: &str) -> String {
    if !word.is_empty() && !word.contains([' ', '\t', '"']) {
        return word.to_owned();
    }
    let name =
        |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'/' | b'-'));
    let (before, value) = match word.split_once('=') {
        Some((before, value)) if name(before) => (format!("{before}="), value),
        _ => (String::new(), word),
    };
    let mut out = before;
    out.push('"');
    let mut slashes = 0;
    for c in value.chars() {
        match c {
            '\\' => slashes += 1,
            '"' => {
                // The slashes so far stand before a quote, and the quote needs one of its own.
                out.extend(std::iter::repeat_n('\\', slashes + 1));
                slashes = 0;
            }
            _ => slashes = 0,
        }
        out.push(c);
    }
    out.extend(std::iter::repeat_n('\\', slashes));
    out.push('"');
    out
}

const DIR: &str = "{dir}";
const MAX_WORDS: usize = 64;
const MAX_BYTES: usize = 8192;
const WANTED: &str = "a command: a program and its arguments, at most 64 words on one line";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn argv(words: &[&str]) -> Argv {
        words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>().try_into().unwrap()
    }

    #[test]
    fn only_the_two_places_are_filled_in() {
        let argv = argv(&["msiexec", "/i", "{dir}\\a.msi", "/l*v", "{log}", "{ABC}", "{dir", "{{dir}"]);
        let words = argv.expand("C:\\{log}", "L");
        assert_eq!(words, ["msiexec", "/i", "C:\\{log}\\a.msi", "/l*v", "L", "{ABC}", "{dir", "{C:\\{log}"]);
    }

    #[test]
    fn a_line_break_or_nothing_is_no_command() {
        for words in [vec![], vec![""], vec!["a\nb"], vec!["a", "\0"], vec!["a"; 65]] {
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            assert!(Argv::try_from(words).is_err());
        }
    }

    #[test]
    fn windows_lines_are_split_like_windows_does() {
        assert_eq!(split_windows(r#"/S /D="C:\a b\" x\\"y z" """#), ["/S", r#"/D=C:\a b" x\y"#, "z \""]);
        assert_eq!(split_windows(r#""C:\a b\u.exe" /S"#), [r"C:\a b\u.exe", "/S"]);
        assert_eq!(split_windows(r#""a""b" "" \\s\t"#), [r#"a"b"#, "", r"\\s\t"]);
        assert_eq!(join_windows(["/i", r"C:\a b\", "NAME=x y"]), r#"/i "C:\a b\\" NAME="x y""#);
    }

    proptest! {
        #[test]
        fn what_was_joined_is_split_into_the_same_words(words in proptest::collection::vec(r#"[a-c="\\ /]{0,8}"#, 0..6)) {
            prop_assert_eq!(split_windows(&join_windows(words.iter().map(String::as_str))), words);
        }
    }
}
