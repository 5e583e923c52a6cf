//! Lines and parts of a text that go, found exactly once or not at all.

/// The text without the one line that begins so, indentation aside.
///
/// # Errors
///
/// When there is none, or more than one: what was looked for.
pub(super) fn without_line(text: &str, begins: &str) -> Result<String, String> {
    let begins = begins.trim_start();
    let is_it = |line: &&str| line.trim_start().starts_with(begins);
    match text.lines().filter(is_it).count() {
        1 => {
            let kept: Vec<&str> = text.lines().filter(|line| !is_it(line)).collect();
            Ok(kept.join("\n") + "\n")
        }
        0 => Err(format!("no line begins with `{begins}`")),
        count => Err(format!("{count} lines begin with `{begins}`")),
    }
}

/// The text with this part of it, which may be broken into other lines, replaced.
///
/// # Errors
///
/// When there is none, or more than one: what was looked for.
pub(super) fn replaced(text: &str, part: &str, with: &str) -> Result<String, String> {
    let found = occurrences(text, part);
    match found.as_slice() {
        [(from, to)] => Ok(format!("{}{with}{}", &text[..*from], &text[*to..])),
        [] => Err(format!("it does not say `{}`", part.trim())),
        more => Err(format!("it says `{}` {} times", part.trim(), more.len())),
    }
}

/// Where the part occurs. Space of any kind stands for any other.
fn occurrences(text: &str, part: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(rest) = text.get(from..).filter(|rest| !rest.is_empty()) {
        if let Some(length) = length_at(rest, part) {
            found.push((from, from + length));
            from += length.max(1);
        } else {
            from += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    found
}

/// How much of the text the part takes up, when it begins there.
fn length_at(text: &str, part: &str) -> Option<usize> {
    let mut left = text;
    let mut part = part;
    while let Some(wanted) = part.chars().next() {
        if wanted.is_whitespace() {
            let rest = left.trim_start();
            if rest.len() == left.len() {
                return None;
            }
            left = rest;
            part = part.trim_start();
        } else {
            left = left.strip_prefix(wanted)?;
            part = &part[wanted.len_utf8()..];
        }
    }
    Some(text.len() - left.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_by_how_it_begins() {
        let text = "mod a;\n    mod b;\nmod bc;\n";

        assert_eq!(without_line(text, "mod b;").unwrap(), "mod a;\nmod bc;\n");
        assert_eq!(
            without_line(text, "mod b").unwrap_err(),
            "2 lines begin with `mod b`"
        );
        assert_eq!(
            without_line(text, "mod d").unwrap_err(),
            "no line begins with `mod d`"
        );
    }

    #[test]
    fn a_part_is_found_across_lines() {
        let text = "limits, notes (what\n  outlives a request), and more\n";

        assert_eq!(
            replaced(text, "notes (what outlives a request), ", "").unwrap(),
            "limits, and more\n"
        );
        assert_eq!(
            replaced(text, "parcels", "").unwrap_err(),
            "it does not say `parcels`"
        );
        assert_eq!(
            replaced("größe größe", "größe", "").unwrap_err(),
            "it says `größe` 2 times"
        );
    }
}
