//! `.env`: lines of `NAME=value`.
//!
//! Written here, because the libraries for it replace `$name` inside a value, so that the password `pa$sw0rd` silently
//! becomes `pa`, and report no line numbers. What other readers of such files are known to read differently has to be quoted,
//! or it is refused. It is no shell: `&`, `;`, `|`, `<`, `>`, parentheses and a leading `~` stand for themselves, as in
//! `DATABASE_URL=postgres://host/name?a=1&b=2`, so a script that reads the file must not source it.
//!
//! ```text
//! # a comment; blank lines and a byte order mark are skipped
//! NAME=value              # what follows a blank and a # is a comment
//! export NAME=value       # as a shell would have it
//! NAME='any $characters'  # as they are, but for the quote itself
//! NAME="it's \"so\""      # after a backslash: " \ $ ` and n, which is a line break
//! NAME='it'\''s'          # parts next to each other are one value
//! ```
//!
//! No value goes over several lines. The last line of a name counts. Names that are not in the catalogue belong to other
//! programs, and their values are not looked at.

use std::collections::BTreeMap;

/// A line that cannot be used, and what was expected there. It never quotes the line, which may hold a secret.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// Counted from 1.
    pub(crate) number: usize,
    pub(crate) expected: &'static str,
}

const ASSIGNMENT: &str = "NAME=value";
const CLOSED: &str = "a quote that is closed on its own line";
const QUOTED: &str = "a value with blanks, #, $, `, quotes or a backslash in 'single quotes'";
const ESCAPED: &str = "one of \" \\ $ ` n after a backslash in double quotes, and no other $ or `";

/// The names that `is_read` takes, with their values.
pub(crate) fn parse(
    text: &str,
    is_read: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, String>, BadLine> {
    let mut found = BTreeMap::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (at, line) in text.split('\n').enumerate() {
        let bad = |expected| BadLine {
            number: at + 1,
            expected,
        };
        let line = line.strip_suffix('\r').unwrap_or(line);
        let line = line.trim_start_matches(BLANKS);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let exported = line
            .strip_prefix("export")
            .filter(|rest| rest.starts_with(BLANKS));
        let line = exported.unwrap_or(line).trim_start_matches(BLANKS);
        let (name, value) = line.split_once('=').ok_or(bad(ASSIGNMENT))?;
        let name = name.trim_end_matches(BLANKS);
        if name.is_empty() || name.contains(NOT_IN_NAMES) {
            return Err(bad(ASSIGNMENT));
        }
        match value_of(value) {
            Ok(value) if is_read(name) => {
                found.insert(name.to_owned(), value);
            }
            Err(expected) if is_read(name) || begins_open(value, expected) => {
                return Err(bad(expected));
            }
            // Another program's.
            Ok(_) | Err(_) => {}
        }
    }
    Ok(found)
}

const BLANKS: [char; 2] = [' ', '\t'];
const NOT_IN_NAMES: [char; 5] = [' ', '\t', '\'', '"', '#'];

/// Whether this is the first line of a value that goes on: the lines that follow would be taken for settings.
fn begins_open(value: &str, expected: &str) -> bool {
    expected == CLOSED && value.trim_start_matches(BLANKS).starts_with(['\'', '"'])
}

fn value_of(text: &str) -> Result<String, &'static str> {
    let rest = text.trim_start_matches(BLANKS);
    if rest.starts_with('#') {
        // `NAME=#x` is a value for some and a comment for others.
        return if rest == text {
            Err(QUOTED)
        } else {
            Ok(String::new())
        };
    }
    let mut value = String::new();
    let mut characters = rest.chars();
    while let Some(next) = characters.next() {
        match next {
            '\'' => single_quoted(&mut characters, &mut value)?,
            '"' => double_quoted(&mut characters, &mut value)?,
            '\\' => match characters.next() {
                Some(escaped) if !escaped.is_ascii_alphanumeric() => value.push(escaped),
                _ => return Err(QUOTED),
            },
            '$' | '`' => return Err(QUOTED),
            ' ' | '\t' => {
                let behind = characters.as_str().trim_start_matches(BLANKS);
                return if behind.is_empty() || behind.starts_with('#') {
                    Ok(value)
                } else {
                    Err(QUOTED)
                };
            }
            other => value.push(other),
        }
    }
    Ok(value)
}

fn single_quoted(
    characters: &mut impl Iterator<Item = char>,
    value: &mut String,
) -> Result<(), &'static str> {
    for next in characters {
        if next == '\'' {
            return Ok(());
        }
        value.push(next);
    }
    Err(CLOSED)
}

fn double_quoted(
    characters: &mut impl Iterator<Item = char>,
    value: &mut String,
) -> Result<(), &'static str> {
    let mut result = Ok(());
    while let Some(next) = characters.next() {
        match next {
            '"' => return result,
            '\\' => match characters.next().ok_or(CLOSED)? {
                'n' => value.push('\n'),
                escaped @ ('"' | '\\' | '$' | '`') => value.push(escaped),
                _ => result = Err(ESCAPED),
            },
            '$' | '`' => result = Err(ESCAPED),
            other => value.push(other),
        }
    }
    // Whatever else is wrong: the value goes on.
    Err(CLOSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> bool {
        ["KEY", "OTHER"].contains(&name)
    }

    fn value(text: &str) -> Result<String, BadLine> {
        parse(text, known).map(|found| found.get("KEY").cloned().unwrap_or_default())
    }

    #[test]
    fn a_value_means_what_it_means_to_a_shell() {
        for (line, expected) in [
            ("KEY=a", "a"),
            ("KEY=", ""),
            ("  export\tKEY = a", "a"),
            ("KEY=a  # comment", "a"),
            ("KEY= # comment", ""),
            ("KEY=a#b", "a#b"),
            ("KEY=a=b==", "a=b=="),
            ("KEY='pa$sw0rd #`\"\\'", "pa$sw0rd #`\"\\"),
            (r#"KEY="quo\"te \\ \$ \` '\n""#, "quo\"te \\ $ ` '\n"),
            (r"KEY='it'\''s'", "it's"),
            (r"KEY=ab\\cd", r"ab\cd"),
            (r"KEY=a\ b\$\é", "a b$é"),
            ("KEY='a'\"b\"c", "abc"),
            ("KEY=a\nKEY=b", "b"),
            ("KEY=a\r\n", "a"),
            ("KEY=a\r", "a"),
            ("\u{feff}KEY=a", "a"),
            ("KEY=é😀", "é😀"),
        ] {
            assert_eq!(value(line).as_deref(), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_others_read_differently_is_refused_with_its_line() {
        for (line, expected) in [
            ("KEY=pa$sw0rd", QUOTED),
            ("KEY=${OTHER}", QUOTED),
            ("KEY=`id`", QUOTED),
            ("KEY=a b", QUOTED),
            ("KEY=#a", QUOTED),
            (r"KEY=a\n", QUOTED),
            ("KEY=a\\", QUOTED),
            ("KEY='a' b", QUOTED),
            ("KEY=\"a$b\"", ESCAPED),
            (r#"KEY="a\tb""#, ESCAPED),
            ("KEY=it's", CLOSED),
            ("KEY='a", CLOSED),
            ("KEY=\"a\\", CLOSED),
            ("KEY", ASSIGNMENT),
            ("=a", ASSIGNMENT),
            ("K EY=a", ASSIGNMENT),
            ("'KEY'=a", ASSIGNMENT),
        ] {
            let bad = BadLine {
                number: 3,
                expected,
            };
            assert_eq!(
                value(&format!("# comment\n\n{line}\nOTHER=a\n")),
                Err(bad),
                "{line}"
            );
        }
    }

    #[test]
    fn lines_of_other_programs_are_passed_over() {
        for line in [
            "MY-VAR=1",
            "TITLE=My App",
            "NOTE=it's mine",
            "PRICE=$5",
            "a.b=c d",
        ] {
            assert_eq!(
                value(&format!("{line}\nKEY=a\n")).as_deref(),
                Ok("a"),
                "{line}"
            );
        }
        // What follows would be taken for settings.
        let bad = || {
            Err(BadLine {
                number: 1,
                expected: CLOSED,
            })
        };
        assert_eq!(value("CERTIFICATE=\"-----BEGIN\nKEY=a\n\"\n"), bad());
        // Whatever else is wrong with its first line.
        for first in ["proxy $up;", "a `b`", r"\d"] {
            let text = format!("NGINX=\"{first}\nKEY=a\nX=\"\n");
            assert_eq!(value(&text), bad(), "{first}");
        }
    }
}
