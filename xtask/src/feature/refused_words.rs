//! The words that a statement which reads may not hold, read from chassis-postgres.

use anyhow::{Context, bail};
use syn::Item;

use super::checkout::Checkout;

/// What chassis-postgres refuses in a statement that reads, in small letters: no column can be called so.
#[derive(Default)]
pub(super) struct RefusedWords {
    words: Vec<String>,
    beginnings: Vec<String>,
}

impl RefusedWords {
    pub(super) fn hold(&self, name: &str) -> bool {
        let mut beginnings = self.beginnings.iter();
        self.words.iter().any(|word| word == name)
            || beginnings.any(|start| name.starts_with(start))
    }
}

/// Reads the lists of the words that a `ReadQuery` refuses.
pub(super) fn refused_words(checkout: &Checkout) -> anyhow::Result<RefusedWords> {
    let path = "crates/chassis-postgres/src/query.rs";
    if !checkout.has(path) {
        return Ok(RefusedWords::default());
    }
    let file = syn::parse_file(&checkout.read(path)?).with_context(|| path.to_owned())?;
    Ok(RefusedWords {
        words: words_of(&file, path, "WRITING")?,
        beginnings: words_of(&file, path, "LOCKING")?,
    })
}

/// The texts of this list, in small letters.
fn words_of(file: &syn::File, path: &str, name: &str) -> anyhow::Result<Vec<String>> {
    let list = file.items.iter().find_map(|item| match item {
        Item::Const(item) if item.ident == name => Some(&item.expr),
        _ => None,
    });
    let Some(syn::Expr::Array(list)) = list.map(AsRef::as_ref) else {
        bail!("{path} has no list {name} of what a ReadQuery refuses");
    };
    let words = list.elems.iter().filter_map(|word| match word {
        syn::Expr::Lit(word) => match &word.lit {
            syn::Lit::Str(text) => Some(text.value().to_lowercase()),
            _ => None,
        },
        _ => None,
    });
    Ok(words.collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_words_that_a_reading_statement_refuses_are_read_from_the_chassis() {
        let found =
            refused_words(&Checkout::around(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap())
                .unwrap();

        for name in [
            "update",
            "nextval",
            "pg_advisory_lock",
            "pg_try_advisory_key",
        ] {
            assert!(found.hold(name), "{name}");
        }
        for name in ["key", "share", "updated", "pg_lock"] {
            assert!(!found.hold(name), "{name}");
        }
    }
}
