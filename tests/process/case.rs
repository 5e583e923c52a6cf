//! One attack or fault, and what was expected and seen of it.

use std::{cell::RefCell, fmt::Display, fs::OpenOptions, io::Write, thread};

use serde_json::Value;

use super::support::Reply;

/// What is expected and seen in one test.
pub struct Case {
    /// `t01_a_claim_about_it`, the test's own name.
    name: String,
    outcomes: RefCell<Vec<Outcome>>,
}

struct Outcome {
    tried: String,
    expected: String,
    seen: String,
    times: usize,
}

impl Case {
    /// Begins the case of this test, whose name the harness gave to the thread.
    pub fn begin() -> Self {
        let thread = thread::current();
        let name = thread.name().unwrap_or_default();
        Self {
            name: name.rsplit("::").next().unwrap_or_default().to_owned(),
            outcomes: RefCell::default(),
        }
    }

    /// Notes what should come of a try and what came, and fails when they differ.
    #[track_caller]
    pub fn expect(&self, tried: impl Display, expected: impl Display, seen: impl Display) {
        let (tried, expected, seen) = (tried.to_string(), expected.to_string(), seen.to_string());
        self.note(&tried, &expected, &seen);
        assert_eq!(seen, expected, "{tried}");
    }

    /// The same for what the database held before and holds afterwards.
    #[track_caller]
    pub fn unchanged(&self, before: &str, after: &str) {
        let seen = if after == before { "unchanged" } else { after };
        self.expect("the database", "unchanged", seen);
    }

    /// Tries that were answered alike make one line of the report.
    fn note(&self, tried: &str, expected: &str, seen: &str) {
        let is_status =
            expected.starts_with(|first: char| first.is_ascii_digit()) && expected.len() > 2;
        let mut outcomes = self.outcomes.borrow_mut();
        let same = outcomes.iter_mut().find(|outcome| {
            outcome.expected == expected
                && outcome.seen == seen
                && (is_status || outcome.tried == tried)
        });
        match same {
            Some(outcome) => outcome.times += 1,
            None => outcomes.push(Outcome {
                tried: tried.to_owned(),
                expected: expected.to_owned(),
                seen: seen.to_owned(),
                times: 1,
            }),
        }
    }
}

/// A text for a column of the report.
fn cell(text: &str) -> String {
    let visible = |c: char| match c {
        '|' => "/".to_owned(),
        ' '..='~' => c.to_string(),
        other => other.escape_default().to_string(),
    };
    text.chars().take(60).map(visible).collect()
}

/// Adds what was noted to the file that `ATTACK_REPORT` names, one line for each kind of outcome.
impl Drop for Case {
    fn drop(&mut self) {
        #[expect(
            clippy::disallowed_methods,
            reason = "tests have settings of their own"
        )]
        let Some(path) = std::env::var_os("ATTACK_REPORT") else {
            return;
        };
        let (id, claim) = self.name.split_once('_').unwrap_or(("", &self.name));
        let claim = claim.replace('_', " ");
        let mut report = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        for outcome in self.outcomes.borrow().iter() {
            let Outcome {
                tried,
                expected,
                seen,
                times,
            } = outcome;
            let (tried, expected, seen) = (cell(tried), cell(expected), cell(seen));
            // One write, so that lines of tests that run at once do not mix.
            let line =
                format!("attack | {id} | {claim} | {expected} | {seen} | {times} | {tried}\n");
            report.write_all(line.as_bytes()).unwrap();
        }
    }
}

/// What a client learns from an answer: the status, and the code of the problem or of the form's error.
pub fn verdict(reply: &Reply) -> String {
    let body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    let code = body["code"].as_str().or(body["error"].as_str());
    match code {
        Some(code) => format!("{} {code}", reply.status),
        None => reply.status.to_string(),
    }
}
