//! Regions of a file that belong to a feature: `notes: begin` to `notes: end`, in the file's own kind of comment.

/// What begins a comment, and what ends it where something does.
const COMMENTS: [(&str, &str); 4] = [("//", ""), ("#", ""), ("--", ""), ("<!--", "-->")];

/// A mark: of which feature, and whether the region begins.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) struct Mark<'t> {
    pub(super) feature: &'t str,
    begins: bool,
}

/// The mark that a line is.
///
/// The end of a region may share its line with a closing brace: rustfmt puts it there after the last arm of a `match`.
pub(super) fn mark(line: &str) -> Option<Mark<'_>> {
    let line = line.trim();
    match line.strip_prefix("} ") {
        Some(comment) => whole_line(comment).filter(|mark| !mark.begins),
        None => whole_line(line),
    }
}

fn whole_line(line: &str) -> Option<Mark<'_>> {
    COMMENTS.iter().find_map(|(begin, end)| {
        let words = line.strip_prefix(begin)?.strip_suffix(end)?.trim();
        let (feature, word) = words.split_once(": ")?;
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let begins = match word {
            "begin" => true,
            "end" => false,
            _ => return None,
        };
        (!feature.is_empty() && feature.bytes().all(is_name)).then_some(Mark { feature, begins })
    })
}

/// The text without the regions of this feature, and without two empty lines where one was.
///
/// # Errors
///
/// When a region begins and does not end, or ends and did not begin: the line, and what is wrong.
pub(super) fn without(text: &str, feature: &str) -> Result<String, String> {
    let is_ours = |line| mark(line).is_some_and(|mark| mark.feature == feature);
    if !text.lines().any(is_ours) {
        return Ok(text.to_owned());
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut open = None;
    let mut after_gap = false;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let found = mark(line).filter(|mark| mark.feature == feature);
        match (found, open) {
            (Some(Mark { begins: true, .. }), None) => {
                open = Some(number);
                after_gap = kept.last().is_none_or(|last| last.trim().is_empty());
            }
            (Some(Mark { begins: false, .. }), Some(_)) => open = None,
            (Some(Mark { begins: true, .. }), Some(earlier)) => {
                return Err(format!(
                    "{number}: `{feature}: begin`, and the region of line {earlier} has not ended"
                ));
            }
            (Some(Mark { begins: false, .. }), None) => {
                return Err(format!(
                    "{number}: `{feature}: end`, and no region has begun"
                ));
            }
            (None, Some(_)) => {}
            (None, None) => {
                if !(after_gap && line.trim().is_empty()) {
                    kept.push(line);
                }
                after_gap = false;
            }
        }
    }
    match open {
        Some(number) => Err(format!(
            "{number}: `{feature}: begin`, and no `{feature}: end` below it"
        )),
        None => Ok(joined(&kept, text)),
    }
}

/// The lines as a text that ends as the other does. An empty line at the end, above what went, goes too.
fn joined(kept: &[&str], before: &str) -> String {
    let mut text = kept.join("\n");
    if before.ends_with('\n') && !text.is_empty() {
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_a_comment_of_its_own() {
        let found = |line| mark(line).map(|mark| (mark.feature, mark.begins));

        for line in [
            "    // parcels: begin",
            "# parcels: begin",
            "-- parcels: begin",
            "<!-- parcels: begin -->",
        ] {
            assert_eq!(found(line), Some(("parcels", true)), "{line}");
        }
        assert_eq!(found("// parcels: end"), Some(("parcels", false)));
        assert_eq!(found("    } // parcels: end"), Some(("parcels", false)));
        for line in [
            "parcels: begin",
            "// parcels: begins",
            "let x; // parcels: begin",
            "let x; // parcels: end",
            "} // parcels: begin",
            "//! `parcels: begin`",
            "<!-- parcels: begin",
        ] {
            assert_eq!(found(line), None, "{line}");
        }
    }

    #[test]
    fn a_region_goes_with_its_marks_and_one_of_two_gaps() {
        let text =
            "a\n\n# parcels: begin\nb\n\n# notes: begin\nc\n# notes: end\n# parcels: end\n\nd\n";

        assert_eq!(without(text, "parcels").unwrap(), "a\n\nd\n");
        assert_eq!(
            without(text, "notes").unwrap(),
            "a\n\n# parcels: begin\nb\n\n# parcels: end\n\nd\n"
        );
        assert_eq!(without(text, "words").unwrap(), text);
        assert_eq!(without("a\n\n# x: begin\n# x: end\n", "x").unwrap(), "a\n");
        let arm = "a\n// x: begin\nX => {\n} // x: end\n}\n";
        assert_eq!(without(arm, "x").unwrap(), "a\n}\n");
    }

    #[test]
    fn half_a_region_is_named() {
        let refused = |text| without(text, "parcels").unwrap_err();

        assert!(refused("a\n// parcels: begin\n").starts_with("2: `parcels: begin`, and no"));
        assert!(refused("// parcels: end\n").starts_with("1: `parcels: end`, and no"));
        assert!(
            refused("// parcels: begin\n// parcels: begin\n")
                .starts_with("2: `parcels: begin`, and the")
        );
    }
}
