//! Readers: from the text of a setting to the type that the program uses.

use std::{fmt::Display, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration};

use secrecy::SecretString;

/// Turns the text of a setting into a value, and says what it takes.
///
/// The readers of this crate cover the usual types, and [`parse_with`] covers any function. Implement the trait
/// yourself for a reader with parameters of its own.
pub trait Reader: Sync {
    /// What comes out.
    type Value;

    /// Reads a text. `text` is `None` when the setting is unset, and never empty. The result is `None` when the text
    /// cannot be used.
    fn read(&self, text: Option<&str>) -> Option<Self::Value>;

    /// What would have been right, to stand behind "expected": `a whole number from 0 to 65535`.
    fn expected(&self) -> String;
}

/// Reads with a function. See [`parse_with`].
pub struct ParseWith<T> {
    parse: fn(&str) -> Option<T>,
    expected: &'static str,
}

/// Reads with `parse`, which returns `None` for what it does not take. An unset setting is an error.
pub const fn parse_with<T>(parse: fn(&str) -> Option<T>, expected: &'static str) -> ParseWith<T> {
    ParseWith { parse, expected }
}

/// Anything that is `FromStr`. An unset setting is an error.
#[must_use]
pub const fn parsed<T: FromStr>(expected: &'static str) -> ParseWith<T> {
    parse_with(from_str, expected)
}

/// Any text. An unset setting is an error.
#[must_use]
pub const fn text(expected: &'static str) -> ParseWith<String> {
    parsed(expected)
}

/// The path of a file or a folder, which need not exist. An unset setting is an error.
#[must_use]
pub const fn path(expected: &'static str) -> ParseWith<PathBuf> {
    parsed(expected)
}

/// Any text, as a secret, which neither prints nor serializes. Mark the setting with `#[secret]` too: this type protects
/// the value in the program, the attribute where settings are listed. An unset setting is an error.
#[must_use]
pub const fn secret() -> ParseWith<SecretString> {
    parse_with(|text| Some(text.into()), "a secret")
}

/// `on`, `off`, `true`, `false`, `1` or `0`. An unset setting is an error.
#[must_use]
pub const fn switch() -> ParseWith<bool> {
    parse_with(
        |text| match text {
            "on" | "true" | "1" => Some(true),
            "off" | "false" | "0" => Some(false),
            _ => None,
        },
        "on or off",
    )
}

fn from_str<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

impl<T> Reader for ParseWith<T> {
    type Value = T;

    fn read(&self, text: Option<&str>) -> Option<T> {
        (self.parse)(text?)
    }

    fn expected(&self) -> String {
        self.expected.to_owned()
    }
}

/// A number within bounds. See [`number`].
pub struct Number<T> {
    least: T,
    most: T,
}

/// A whole number within bounds. An unset setting is an error.
#[must_use]
pub const fn number<T: Copy>(range: RangeInclusive<T>) -> Number<T> {
    Number {
        least: *range.start(),
        most: *range.end(),
    }
}

impl<T: FromStr + PartialOrd + Display + Sync> Reader for Number<T> {
    type Value = T;

    fn read(&self, text: Option<&str>) -> Option<T> {
        let number = text?.parse().ok()?;
        (self.least <= number && number <= self.most).then_some(number)
    }

    fn expected(&self) -> String {
        format!("a whole number from {} to {}", self.least, self.most)
    }
}

/// A length of time, written as a whole number of one unit. See [`millis`], [`seconds`], [`minutes`] and [`days`].
pub struct Span {
    count: Number<u32>,
    unit: Duration,
}

/// Milliseconds, from `least` to a day. An unset setting is an error.
#[must_use]
pub const fn millis(least: u32) -> Span {
    Span {
        count: number(least..=86_400_000),
        unit: Duration::from_millis(1),
    }
}

/// Milliseconds within bounds. An unset setting is an error.
#[must_use]
pub const fn millis_within(range: RangeInclusive<u32>) -> Span {
    Span {
        count: number(range),
        unit: Duration::from_millis(1),
    }
}

/// Seconds within bounds. An unset setting is an error.
#[must_use]
pub const fn seconds(range: RangeInclusive<u32>) -> Span {
    Span {
        count: number(range),
        unit: Duration::from_secs(1),
    }
}

/// Minutes within bounds. An unset setting is an error.
#[must_use]
pub const fn minutes(range: RangeInclusive<u32>) -> Span {
    Span {
        count: number(range),
        unit: Duration::from_mins(1),
    }
}

/// Hours within bounds. An unset setting is an error.
#[must_use]
pub const fn hours(range: RangeInclusive<u32>) -> Span {
    Span {
        count: number(range),
        unit: Duration::from_hours(1),
    }
}

/// Days of 24 hours within bounds. An unset setting is an error.
#[must_use]
pub const fn days(range: RangeInclusive<u32>) -> Span {
    Span {
        count: number(range),
        unit: Duration::from_hours(24),
    }
}

impl Reader for Span {
    type Value = Duration;

    fn read(&self, text: Option<&str>) -> Option<Duration> {
        Some(self.unit * self.count.read(text)?)
    }

    fn expected(&self) -> String {
        self.count.expected()
    }
}

/// One of a few words. See [`one_of`].
pub struct OneOf<T: 'static> {
    words: &'static [(&'static str, T)],
}

/// One of these words, each with the value that it stands for. An unset setting is an error.
#[must_use]
pub const fn one_of<T: Copy>(words: &'static [(&'static str, T)]) -> OneOf<T> {
    OneOf { words }
}

impl<T: Copy + Sync> Reader for OneOf<T> {
    type Value = T;

    fn read(&self, text: Option<&str>) -> Option<T> {
        let text = text?;
        let mut words = self.words.iter();
        words.find_map(|(word, value)| (*word == text).then_some(*value))
    }

    fn expected(&self) -> String {
        let words: Vec<_> = self.words.iter().map(|(word, _)| *word).collect();
        match words.split_last() {
            Some((last, others)) if !others.is_empty() => {
                format!("{} or {last}", others.join(", "))
            }
            _ => words.concat(),
        }
    }
}

/// A value that may be unset. See [`optional`].
pub struct Optional<R> {
    reader: R,
}

/// What `reader` takes, or `None` when the setting is unset.
#[must_use]
pub const fn optional<R: Reader>(reader: R) -> Optional<R> {
    Optional { reader }
}

impl<R: Reader> Reader for Optional<R> {
    type Value = Option<R::Value>;

    fn read(&self, text: Option<&str>) -> Option<Self::Value> {
        match text {
            None => Some(None),
            some => self.reader.read(some).map(Some),
        }
    }

    fn expected(&self) -> String {
        self.reader.expected()
    }
}

/// Several values. See [`list`].
pub struct List<R> {
    item: R,
}

/// Items that `item` takes, separated by commas, with or without blanks around them. None when the setting is unset.
#[must_use]
pub const fn list<R: Reader>(item: R) -> List<R> {
    List { item }
}

impl<R: Reader> Reader for List<R> {
    type Value = Vec<R::Value>;

    fn read(&self, text: Option<&str>) -> Option<Self::Value> {
        let items = text.unwrap_or_default().split(',').map(str::trim);
        let items = items.filter(|item| !item.is_empty());
        items.map(|item| self.item.read(Some(item))).collect()
    }

    fn expected(&self) -> String {
        self.item.expected()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_number_stays_within_its_bounds() {
        let port = number(1..=9000_u16);

        assert_eq!(port.expected(), "a whole number from 1 to 9000");
        for (text, value) in [("1", 1), ("9000", 9000)] {
            assert_eq!(port.read(Some(text)), Some(value));
        }
        for text in ["0", "9001", "70000", "-1", "1.5", "eighty", "1 ", ""] {
            assert_eq!(port.read(Some(text)), None, "{text}");
        }
        assert_eq!(port.read(None), None);
    }

    #[test]
    fn a_length_of_time_counts_its_unit() {
        assert_eq!(
            millis(1).read(Some("250")),
            Some(Duration::from_millis(250))
        );
        assert_eq!(millis(1).read(Some("0")), None);
        assert_eq!(millis(0).read(Some("86400001")), None);
        assert_eq!(millis(1).expected(), "a whole number from 1 to 86400000");
        assert_eq!(seconds(0..=9).read(Some("9")), Some(Duration::from_secs(9)));
        assert_eq!(minutes(1..=2).read(Some("2")), Some(Duration::from_mins(2)));
        assert_eq!(days(1..=2).read(Some("2")), Some(Duration::from_hours(48)));
    }

    #[test]
    fn a_switch_is_on_or_off() {
        for (text, value) in [
            ("on", Some(true)),
            ("true", Some(true)),
            ("1", Some(true)),
            ("off", Some(false)),
            ("false", Some(false)),
            ("0", Some(false)),
            ("yes", None),
            ("ON", None),
        ] {
            assert_eq!(switch().read(Some(text)), value, "{text}");
        }
        assert_eq!(switch().read(None), None);
    }

    #[test]
    fn one_of_names_its_words() {
        let one = one_of(&[("a", 1)]);
        let three = one_of(&[("a", 1), ("b", 2), ("c", 3)]);

        assert_eq!(one.expected(), "a");
        assert_eq!(three.expected(), "a, b or c");
        assert_eq!(three.read(Some("c")), Some(3));
        assert_eq!(three.read(Some("d")), None);
    }

    #[test]
    fn an_optional_value_may_be_unset_but_not_wrong() {
        let port = optional(number(1..=9_u8));

        assert_eq!(port.read(None), Some(None));
        assert_eq!(port.read(Some("3")), Some(Some(3)));
        assert_eq!(port.read(Some("10")), None);
        assert_eq!(port.expected(), "a whole number from 1 to 9");
    }

    #[test]
    fn a_list_is_separated_by_commas_and_refused_as_a_whole() {
        let ports = list(number(1..=9_u8));

        assert_eq!(ports.read(None), Some(Vec::new()));
        assert_eq!(ports.read(Some(" 1, 2,,3 ,")), Some(vec![1, 2, 3]));
        assert_eq!(ports.read(Some("1,10")), None);
    }

    #[test]
    fn texts_paths_and_secrets_are_taken_as_they_are() {
        assert_eq!(text("a name").read(Some(" a ")), Some(" a ".to_owned()));
        assert_eq!(text("a name").read(None), None);
        assert_eq!(path("a file").read(Some("/a b")), Some("/a b".into()));
        let key = secret().read(Some("hunter2")).unwrap();
        assert_eq!(key.expose_secret(), "hunter2");
        assert!(!format!("{key:?}").contains("hunter2"));
    }

    #[test]
    fn anything_else_is_read_by_a_function() {
        fn even(text: &str) -> Option<u8> {
            text.parse().ok().filter(|number| number % 2 == 0)
        }
        let reader = parse_with(even, "an even number");

        assert_eq!(reader.read(Some("4")), Some(4));
        assert_eq!(reader.read(Some("5")), None);
        assert_eq!(reader.expected(), "an even number");
        assert_eq!(parsed::<char>("a letter").read(Some("x")), Some('x'));
    }
}
