//! What finds keys in repositories and logs: the rule that `ops/gitleaks.toml` has.

use regex::Regex;
use warp_skeleton::features::api_keys::{ApiKey, PREFIX, scanner_rule};

const RULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ops/gitleaks.toml");

/// The regular expression of the rule, in the file as it is.
fn pattern() -> Regex {
    let rule = std::fs::read_to_string(RULE).unwrap();
    let (_, rest) = rule.split_once("regex = '''").unwrap();
    let (pattern, _) = rest.split_once("'''").unwrap();
    // Scanners look at a line only when a keyword of the rule stands in it.
    assert!(rule.contains(&format!("keywords = [\"{PREFIX}_\"]")));
    Regex::new(pattern).unwrap()
}

#[test]
fn the_rule_in_the_repository_is_the_one_for_the_keys_of_this_program() {
    #[expect(
        clippy::disallowed_methods,
        reason = "rewriting is asked for on the command line"
    )]
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(RULE, scanner_rule()).unwrap();
    }
    let written = std::fs::read_to_string(RULE).unwrap_or_default();
    assert_eq!(
        written,
        scanner_rule(),
        "write it anew: REWRITE=1 cargo test --test api api_keys::scanner"
    );
    assert!(pattern().as_str().contains(PREFIX));
}

#[test]
fn a_scanner_finds_a_key_wherever_it_stands_and_the_whole_of_it() {
    let pattern = pattern();
    for _ in 0..100 {
        let key = ApiKey::generate();
        let key = key.expose();
        for text in [
            key.to_owned(),
            format!("API_KEY={key}\n"),
            format!("curl -H 'Authorization: Bearer {key}' https://api.example.com/auth/me"),
            format!("{{\"key\":\"{key}\"}}"),
            format!("https://example.com/?key={key}&x=1"),
            format!("key: {key}."),
            format!("({key})"),
        ] {
            let found: Vec<_> = pattern
                .find_iter(&text)
                .map(|found| found.as_str())
                .collect();
            assert_eq!(found, [key], "{text}");
            // What is found can be told from what only looks like it.
            assert!(ApiKey::parse(found[0]).is_some());
        }
    }
}

#[test]
fn what_is_no_key_is_not_found() {
    let pattern = pattern();
    let key = ApiKey::generate();
    let key = key.expose();
    let rest = &key[PREFIX.len() + 1..];
    for text in [
        rest.to_owned(),
        format!("other_{rest}"),
        format!("{PREFIX}-{rest}"),
        format!("x{key}"),
        format!("{key}0"),
        key[..key.len() - 1].to_owned(),
        format!("{PREFIX}_features::api_keys::a_long_path_of_a_module_of_this_crate_x"),
        "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOiJ3YXJwX3NrZWxldG9uIn0.AAAA".to_owned(),
    ] {
        assert!(!pattern.is_match(&text), "{text}");
    }
}
