//! What a feature is called, in all the spellings that its files need.

use anyhow::{bail, ensure};

use super::sql_words::SQL_WORDS;

/// Longer names do not fit the longest line of the wiring, which rustfmt would then break.
pub(super) const LONGEST: usize = 19;

/// What a feature is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// As a table, a module and a variable: `order_lines`.
    pub(super) plural: String,
    /// One of them: `order_line`.
    pub(super) singular: String,
}

impl Names {
    /// Checks the plural, and the singular or the one that follows from the plural.
    pub(super) fn parse(plural: &str, singular: Option<&str>) -> anyhow::Result<Self> {
        check_spelling("a feature", plural, LONGEST, "notes or order_lines")?;
        check_meaning("a feature", plural)?;
        let singular = match singular {
            Some(singular) => singular.to_owned(),
            None => singular_of(plural)?,
        };
        check_spelling("one of a feature", &singular, LONGEST, "note or order_line")?;
        ensure!(
            singular != plural,
            "{plural} cannot be the name of many and of one; give the other one with --singular (SINGULAR=…)"
        );
        check_meaning("one of a feature", &singular)?;
        let plural = plural.to_owned();
        Ok(Self { plural, singular })
    }

    /// The part of an address: `order-lines`.
    pub(super) fn path(&self) -> String {
        format!("/{}", self.plural.replace('_', "-"))
    }
}

/// Whether the name is made of words in lower case, joined by underscores.
pub(super) fn check_spelling(
    what: &str,
    name: &str,
    longest: usize,
    example: &str,
) -> anyhow::Result<()> {
    let is_word = |word: &str| {
        word.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            && word.starts_with(|first: char| first.is_ascii_lowercase())
    };
    ensure!(
        name.split('_').all(is_word),
        "{name:?} cannot be the name of {what}: write words in lower case, joined by underscores, like {example}"
    );
    ensure!(
        name.len() <= longest,
        "{name} is too long for the name of {what}: at most {longest} letters"
    );
    Ok(())
}

/// Whether the name is a word of Rust or of SQL.
pub(super) fn check_meaning(what: &str, name: &str) -> anyhow::Result<()> {
    let owner = if is_keyword(name) {
        "a keyword of Rust"
    } else if SQL_WORDS.contains(&name) {
        "a reserved word of SQL"
    } else {
        return Ok(());
    };
    bail!("{name} cannot be the name of {what}: it is {owner}; choose another one")
}

/// Whether Rust has this word for itself.
fn is_keyword(name: &str) -> bool {
    // syn knows the keywords up to edition 2021.
    name == "gen" || syn::parse_str::<syn::Ident>(name).is_err()
}

/// One of them, by the commonest rules of English.
fn singular_of(plural: &str) -> anyhow::Result<String> {
    let (before, last) = plural
        .rsplit_once('_')
        .map_or(("", plural), |(before, last)| (before, last));
    let Some(one) = singular_word(last) else {
        bail!(
            "{plural} is not a plural by any rule known here: write the plural (notes), or say what one of them \
             is called with --singular (SINGULAR=…)"
        );
    };
    Ok(if before.is_empty() {
        one
    } else {
        format!("{before}_{one}")
    })
}

fn singular_word(plural: &str) -> Option<String> {
    for (many, one) in [
        ("children", "child"),
        ("cookies", "cookie"),
        ("caches", "cache"),
        ("people", "person"),
        ("movies", "movie"),
        ("indices", "index"),
    ] {
        if plural == many {
            return Some(one.to_owned());
        }
    }
    if ["ss", "us", "is"].iter().any(|end| plural.ends_with(end)) {
        return None;
    }
    let strip = |end: &str| plural.strip_suffix(end).filter(|rest| rest.len() > 1);
    if let Some(rest) = strip("ies").filter(|rest| rest.len() > 2) {
        return Some(format!("{rest}y"));
    }
    for end in ["sses", "shes", "ches", "xes", "zzes"] {
        if plural.ends_with(end) {
            return strip("es").map(str::to_owned);
        }
    }
    let is_us =
        plural.ends_with("uses") && !plural.ends_with("auses") && !plural.ends_with("ouses");
    if is_us {
        return strip("es").map(str::to_owned);
    }
    strip("s").map(str::to_owned)
}

/// `order_lines` as `OrderLines`.
pub(super) fn camel(name: &str) -> String {
    name.split('_').map(capitalised).collect()
}

/// `order_lines` as `orderLines`.
pub(super) fn lower_camel(name: &str) -> String {
    let (first, rest) = name.split_once('_').unwrap_or((name, ""));
    format!("{first}{}", camel(rest))
}

/// `order_lines` as `order lines`.
pub(super) fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// With a capital at its beginning.
pub(super) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| {
        first.to_ascii_uppercase().to_string() + letters.as_str()
    })
}

/// `a` or `an`, as it stands before the word.
pub(super) fn article(word: &str) -> &'static str {
    // A university and a user are heard with a consonant.
    let heard_as_you = ["uni", "use", "usa", "eu", "one"];
    let vowel = word.starts_with(['a', 'e', 'i', 'o', 'u'])
        && !heard_as_you.iter().any(|start| word.starts_with(start));
    if vowel { "an" } else { "a" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(plural: &str, singular: Option<&str>) -> String {
        Names::parse(plural, singular).unwrap_err().to_string()
    }

    #[test]
    fn the_singular_follows_from_the_plural() {
        for (plural, singular) in [
            ("notes", "note"),
            ("categories", "category"),
            ("boxes", "box_"),
            ("addresses", "address"),
            ("branches", "branch"),
            ("wishes", "wish"),
            ("houses", "house"),
            ("statuses", "status"),
            ("courses", "course"),
            ("people", "person"),
            ("movies", "movie"),
            ("keys", "key"),
            ("order_lines", "order_line"),
            ("news_entries", "news_entry"),
        ] {
            let found = singular_of(plural).unwrap();
            assert_eq!(found, singular.trim_end_matches('_'), "{plural}");
        }
    }

    #[test]
    fn what_is_no_plural_needs_a_singular() {
        for name in ["note", "status", "address", "analysis", "data"] {
            assert!(refusal(name, None).contains("--singular"), "{name}");
        }
        let names = Names::parse("data", Some("datum")).unwrap();
        assert_eq!(names.singular, "datum");
        assert!(refusal("sheep", Some("sheep")).contains("of many and of one"));
    }

    #[test]
    fn a_refusal_names_what_it_refuses() {
        for (name, reason) in [
            ("", "lower case"),
            ("Notes", "lower case"),
            ("order-lines", "lower case"),
            ("order__lines", "lower case"),
            ("2notes", "lower case"),
            ("notes;", "lower case"),
            ("a_name_that_is_too_long_by_far", "too long"),
            ("types", "a keyword of Rust"),
            ("boxes", "a keyword of Rust"),
            ("gens", "a keyword of Rust"),
            ("groups", "a reserved word of SQL"),
        ] {
            let refusal = refusal(name, None);
            assert!(refusal.contains(reason), "{name}: {refusal}");
        }
    }

    #[test]
    fn every_spelling_is_derived() {
        let names = Names::parse("order_lines", None).unwrap();

        assert_eq!(names.path(), "/order-lines");
        assert_eq!(camel(&names.singular), "OrderLine");
        assert_eq!(lower_camel(&names.plural), "orderLines");
        assert_eq!(words(&names.plural), "order lines");
        assert_eq!(
            (article("order"), article("note"), article("user")),
            ("an", "a", "a")
        );
    }
}
