//! Times that are sent and kept.

use std::borrow::Cow;

use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use chassis_http::ValidationError;

/// The text says no time that can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a time as RFC 3339 writes it, like 2030-01-31T12:00:00Z")]
pub struct UnknownTime;

impl ValidationError for UnknownTime {
    fn code(&self) -> &'static str {
        "invalid_value"
    }

    fn detail(&self) -> Cow<'static, str> {
        self.to_string().into()
    }
}

/// Reads a time as RFC 3339 writes it. It is kept in UTC, to the microsecond.
///
/// ```
/// use warp_skeleton::shared::parse_time;
///
/// let time = parse_time("2030-01-31T13:00:00+01:00").unwrap();
/// assert_eq!(parse_time("2030-01-31T12:00:00.0000009Z"), Ok(time));
/// assert!(parse_time("2030-01-31").is_err());
/// ```
pub fn parse_time(text: &str) -> Result<OffsetDateTime, UnknownTime> {
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| UnknownTime)?;
    let time = time.checked_to_offset(UtcOffset::UTC).ok_or(UnknownTime)?;
    // Close to year 0 and 9999 another offset is another year, which RFC 3339 cannot write.
    if !(0..=9999).contains(&time.year()) {
        return Err(UnknownTime);
    }
    Ok(cut_to_microseconds(time))
}

/// The time as PostgreSQL keeps it, so that it compares equal to itself after a round trip.
///
/// # Panics
///
/// Never: a microsecond taken from a time fits into it.
#[must_use]
pub fn cut_to_microseconds(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_microsecond(time.microsecond())
        .expect("a microsecond taken from a time fits into it")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::properties;

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "1700000000",
            "2030-01-31",
            "2030-01-31T12:00:00",
            "2030-02-30T12:00:00Z",
            "2030-01-31T24:00:00Z",
            "0000-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
            "+12030-01-31T12:00:00Z",
        ] {
            assert_eq!(parse_time(text), Err(UnknownTime), "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(properties::config())]

        #[test]
        fn what_is_taken_can_be_written_and_read_again(
            text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[012][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{1,9})?([+-][012][0-9]:[0-5][0-9]|Z)",
        ) {
            if let Ok(time) = parse_time(&text) {
                let written = time.format(&Rfc3339).unwrap();
                prop_assert_eq!(parse_time(&written), Ok(time));
                prop_assert!(written.ends_with('Z'));
            }
        }
    }
}
