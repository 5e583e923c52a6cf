//! The page on troubleshooting quotes messages as the program and the scripts print them.

use super::{files, read};

const PAGE: &str = "docs/troubleshooting.md";

/// What precedes a message: the program's prefix, a script's name, the message of a log line.
const SPEAKERS: [&str; 4] = ["error: ", "setup: ", "postgres: ", "start_failed error="];

/// A text with its blanks made alike, and the line breaks of string literals taken out.
fn flat(text: &str) -> String {
    let text = text.replace("\\\n", " ").replace("\\\"", "\"");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // A shell joins two words of `say` by a blank.
    text.replace("\" \"", " ")
}

/// What the program and the scripts may say, and what other programs say in their own words.
fn sources() -> String {
    let programs = ["src", "crates"].map(|folder| files(folder, ".rs"));
    let programs = programs.into_iter().flatten();
    let scripts = files("scripts", "").into_iter();
    let all = programs.chain(scripts).map(|path| flat(&read(path)));
    let text = all.collect::<Vec<_>>().join("\n");
    text + &flat(&read("Makefile")) + &flat(&read("nix/apps.nix"))
}

/// Blocks of messages of ours are marked ```` ```text ````; others quote Nix, cargo and the like.
fn messages(page: &str) -> Vec<&str> {
    let blocks = page.split("\n```text\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("\n```").next().unwrap());
    blocks.flat_map(str::lines).collect()
}

#[test]
fn every_message_that_the_page_on_troubleshooting_quotes_is_one_of_ours() {
    let page = read(PAGE);
    let sources = sources();
    let messages = messages(&page);

    let mut invented = Vec::new();
    for message in &messages {
        // Where a name or a number stands in the message, the page has an ellipsis.
        let words = SPEAKERS
            .iter()
            .find_map(|speaker| message.strip_prefix(speaker));
        // These come from two places: the setting and what was expected, the failure and what to do about it.
        let words = words
            .unwrap_or(message)
            .replace(" (from …): expected ", "…")
            .replace(": restore it", "…: restore it");
        for part in words.split('…').map(str::trim) {
            if !sources.contains(&flat(part)) {
                invented.push(format!("{part}\n  in: {message}"));
            }
        }
    }
    assert!(
        invented.is_empty(),
        "{PAGE} quotes what nothing says:\n{}",
        invented.join("\n")
    );
    assert!(messages.len() > 10, "the page was not read");
}
