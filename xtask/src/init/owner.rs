//! Whose project it is on the code host: the placeholder in addresses, and what to put in its place.

use std::fmt;

use anyhow::bail;

/// Stands where an account belongs. In other places the same word is a role of the service, and stays.
const PLACEHOLDER: &str = "OWNER";

/// What precedes an account.
const LEADS: &[&str] = &["github.com/", "github:", "ghcr.io/", "@"];

/// An account or organisation on GitHub, where the placeholders point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner(String);

impl Owner {
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if text.is_empty()
            || text.len() > 39
            || !plain
            || text.starts_with('-')
            || text.ends_with('-')
        {
            bail!(
                "OWNER={text} is no account: GitHub's are letters, digits and hyphens, at most 39. It goes into \
                 addresses such as github.com/acme/acme-orders: make init NAME=acme-orders OWNER=acme"
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// The account in the address of a remote on GitHub, whichever way it is written.
    pub(super) fn of_remote(address: &str) -> Option<Self> {
        let (_, path) = address.split_once("github.com")?;
        let path = path.strip_prefix(':').or_else(|| path.strip_prefix('/'))?;
        let (owner, repository) = path.split_once('/')?;
        if repository.is_empty() {
            return None;
        }
        Self::parse(owner)
            .ok()
            .filter(|owner| owner.0 != PLACEHOLDER)
    }

    /// The text with this account in the placeholder's place.
    pub(super) fn fill(&self, text: &str) -> String {
        LEADS
            .iter()
            .fold(text.to_owned(), |text, lead| fill(&text, lead, &self.0))
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Whether the text has a placeholder.
pub(super) fn is_missing(text: &str) -> bool {
    LEADS.iter().any(|lead| fill(text, lead, "") != text)
}

fn fill(text: &str, lead: &str, owner: &str) -> String {
    let wanted = format!("{lead}{PLACEHOLDER}");
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(&wanted) {
        let goes_on = after.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '-');
        filled.push_str(before);
        filled.push_str(lead);
        filled.push_str(if goes_on { PLACEHOLDER } else { owner });
        rest = after;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acme() -> Owner {
        Owner::parse("acme").unwrap()
    }

    #[test]
    fn the_placeholder_is_filled_in_addresses_and_mentions_alone() {
        for (before, after) in [
            ("https://github.com/{}/x", "https://github.com/acme/x"),
            ("nix run github:{}/x", "nix run github:acme/x"),
            ("ghcr.io/{}/x", "ghcr.io/acme/x"),
            ("* @{}\n", "* @acme\n"),
            ("roles: {}, ADMIN", "roles: {}, ADMIN"),
            ("@{}S @{}-1", "@{}S @{}-1"),
            ("ALTER DATABASE %I {} TO %I", "ALTER DATABASE %I {} TO %I"),
        ] {
            let [before, after] = [before, after].map(|text| text.replace("{}", PLACEHOLDER));

            assert_eq!(acme().fill(&before), after);
            assert_eq!(is_missing(&before), before != after, "{before}");
        }
    }

    #[test]
    fn a_remote_on_github_tells_the_account() {
        for address in [
            "https://github.com/acme/orders.git",
            "https://token@github.com/acme/orders",
            "git@github.com:acme/orders.git",
            "ssh://git@github.com/acme/orders.git",
        ] {
            assert_eq!(Owner::of_remote(address), Some(acme()), "{address}");
        }

        let placeholder = format!("https://github.com/{PLACEHOLDER}/x");
        for address in [
            "/srv/git/orders",
            "https://example.com/acme/orders",
            "https://github.com/acme",
            &placeholder,
        ] {
            assert_eq!(Owner::of_remote(address), None, "{address}");
        }
    }

    #[test]
    fn an_account_has_letters_digits_and_hyphens() {
        for bad in [
            "",
            "@acme",
            "acme/orders",
            "-acme",
            "acme corp",
            "a_b",
            &"a".repeat(40),
        ] {
            assert!(Owner::parse(bad).is_err(), "{bad}");
        }
    }
}
