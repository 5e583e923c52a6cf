//! Code that still uses a feature which is to go.

/// The lines of Rust that name an item of the module: `notes::enqueue`, `features::notes;`. Comments do not count.
/// A name that another module has as well is ambiguous: then only the latter counts.
pub(super) fn of(module: &str, is_ambiguous: bool, text: &str) -> Vec<usize> {
    let path = format!("{module}::");
    let import = format!("features::{module}");
    let numbered = text.lines().enumerate();
    let found = numbered.filter(|(_, line)| {
        let code = line.split("//").next().unwrap_or_default();
        (!is_ambiguous && is_word(code, &path, false)) || is_word(code, &import, true)
    });
    found.map(|(index, _)| index + 1).collect()
}

/// Whether the words occur, and are not the end of a longer name (or, when asked, the beginning of one).
fn is_word(code: &str, words: &str, whole: bool) -> bool {
    let in_name = |found: char| found.is_alphanumeric() || found == '_';
    code.match_indices(words).any(|(place, _)| {
        let before = code[..place].chars().next_back();
        let after = code[place + words.len()..].chars().next();
        !(before.is_some_and(in_name) || (whole && after.is_some_and(in_name)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_a_path_and_no_comment() {
        let text = "use crate::features::notes;\nuse features::{notes::Notes};\n// notes::x\nold_notes::x();\nlet a = notes::b();\nfeatures::notes_more;\n";

        assert_eq!(of("notes", false, text), [1, 2, 5]);
        assert_eq!(of("notes", true, text), [1]);
    }
}
