//! One name for another, in whichever spelling it stands.

use super::name::Name;

/// What may stand between the words of a name; nothing may, too.
const JOINTS: &[u8] = b"-_ .";

/// The text with the old name replaced, each time in the spelling it was found in: `acme-orders`, `acme_orders`,
/// `ACME_ORDERS`, `AcmeOrders`, `Acme Orders`.
pub(super) fn replace(text: &str, old: &Name, new: &Name) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = find(rest, old) {
        replaced.push_str(&rest[..found.start]);
        replaced.push_str(&spell(new, &found));
        rest = &rest[found.end..];
    }
    replaced.push_str(rest);
    replaced
}

/// Whether the text holds the name in any spelling.
pub(super) fn occurs(text: &str, name: &Name) -> bool {
    find(text, name).is_some()
}

struct Found<'t> {
    start: usize,
    end: usize,
    words: Vec<&'t str>,
    joint: Option<char>,
}

fn find<'t>(text: &'t str, name: &Name) -> Option<Found<'t>> {
    (0..text.len()).find_map(|start| found_at(text, start, name))
}

fn found_at<'t>(text: &'t str, start: usize, name: &Name) -> Option<Found<'t>> {
    let mut end = start;
    let mut words = Vec::new();
    let mut joint = None;
    for wanted in name.words() {
        if let Some(byte) = text.as_bytes().get(end)
            && !words.is_empty()
            && JOINTS.contains(byte)
        {
            joint = Some(char::from(*byte));
            end += 1;
        }
        // `get` is also what keeps off the middle of a character.
        let word = text.get(end..end + wanted.len())?;
        if !word.eq_ignore_ascii_case(wanted) {
            return None;
        }
        end += wanted.len();
        words.push(word);
    }
    Some(Found {
        start,
        end,
        words,
        joint,
    })
}

fn spell(new: &Name, found: &Found<'_>) -> String {
    let loud = found
        .words
        .iter()
        .all(|word| !word.contains(|c: char| c.is_ascii_lowercase()));
    let capital = |word: &&str| word.starts_with(|c: char| c.is_ascii_uppercase());
    let first = found.words.first().is_some_and(capital);
    let later = found.words.len() > 1 && found.words[1..].iter().all(capital);

    let words: Vec<String> = new
        .words()
        .enumerate()
        .map(|(index, word)| {
            if loud {
                word.to_ascii_uppercase()
            } else if if index == 0 { first } else { later } {
                capitalised(word)
            } else {
                word.to_owned()
            }
        })
        .collect();
    words.join(&found.joint.map(String::from).unwrap_or_default())
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_ascii_uppercase() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn every_spelling_is_replaced_by_the_same_spelling() {
        let (old, new) = (name("old-thing"), name("acme-orders-2b"));

        for (before, after) in [
            ("old-thing", "acme-orders-2b"),
            ("old_thing", "acme_orders_2b"),
            ("OLD_THING", "ACME_ORDERS_2B"),
            ("OLD-THING", "ACME-ORDERS-2B"),
            ("Old Thing", "Acme Orders 2b"),
            ("Old thing", "Acme orders 2b"),
            ("old thing", "acme orders 2b"),
            ("oldthing", "acmeorders2b"),
            ("OldThing", "AcmeOrders2b"),
            ("oldThing", "acmeOrders2b"),
            ("OLDTHING", "ACMEORDERS2B"),
            ("old.thing", "acme.orders.2b"),
            (
                "_old-thing-1:é old_thing_test",
                "_acme-orders-2b-1:é acme_orders_2b_test",
            ),
        ] {
            assert_eq!(replace(before, &old, &new), after);
        }
    }

    #[test]
    fn a_name_of_one_word_keeps_the_spelling_of_the_first() {
        let (old, new) = (name("old-thing"), name("orders"));

        assert_eq!(
            replace("old_thing OLD-THING Old Thing OldThing", &old, &new),
            "orders ORDERS Orders Orders"
        );
    }

    #[test]
    fn what_only_resembles_the_name_stays() {
        let (old, new) = (name("old-thing"), name("acme"));

        for text in [
            "old",
            "old--thing",
            "old, thing",
            "old thin",
            "öld-thing",
            "thing-old",
            "",
        ] {
            assert_eq!(replace(text, &old, &new), text);
            assert!(!occurs(text, &old), "{text}");
        }
        assert!(occurs("an OldThing", &old));
    }
}
