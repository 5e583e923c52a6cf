//! Under which terms the project goes on. The skeleton's own terms ask for nothing, so every answer is allowed.

use std::fmt;

use clap::ValueEnum;

use super::name::Name;

/// The answers to the question of the licence, spelled as in SPDX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Licence {
    /// As it was: in the public domain.
    #[value(name = "Unlicense")]
    Unlicense,
    #[value(name = "MIT")]
    Mit,
    #[value(name = "Apache-2.0")]
    Apache,
    /// No licence: all rights reserved.
    #[value(name = "proprietary")]
    Proprietary,
}

/// As the command line takes it.
impl fmt::Display for Licence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        formatter.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

impl Licence {
    pub(super) const ALL: [Self; 4] = [Self::Unlicense, Self::Mit, Self::Apache, Self::Proprietary];

    /// How Cargo.toml and the image name it; nothing for what nobody else may use.
    pub(super) fn identifier(self) -> Option<&'static str> {
        match self {
            Self::Unlicense => Some("Unlicense"),
            Self::Mit => Some("MIT"),
            Self::Apache => Some("Apache-2.0"),
            Self::Proprietary => None,
        }
    }

    /// The attribute of nixpkgs' `lib.licenses`. Nothing for proprietary software: calling it unfree would have Nix
    /// refuse to build it.
    pub(super) fn in_nixpkgs(self) -> Option<&'static str> {
        match self {
            Self::Unlicense => Some("unlicense"),
            Self::Mit => Some("mit"),
            Self::Apache => Some("asl20"),
            Self::Proprietary => None,
        }
    }

    /// What the README says of it.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Unlicense => "[Unlicense](LICENSE): do as you like.",
            Self::Mit => "[MIT](LICENSE).",
            Self::Apache => "[Apache-2.0](LICENSE).",
            Self::Proprietary => "All rights reserved.",
        }
    }

    /// The file LICENSE: its text, none, or `Unlicense` when what is there is to stay.
    pub(super) fn text(self, project: &Name) -> Option<String> {
        match self {
            Self::Mit => Some(include_str!("licences/MIT.txt").replacen(
                "HOLDERS",
                &format!("the authors of {project}"),
                1,
            )),
            // Its text may not be changed: whose work it covers is said by whoever publishes it.
            Self::Apache => Some(include_str!("licences/Apache-2.0.txt").to_owned()),
            Self::Unlicense | Self::Proprietary => None,
        }
    }

    pub(super) fn question(self) -> &'static str {
        match self {
            Self::Unlicense => "Unlicense, as it is: anybody may do anything",
            Self::Mit => "MIT",
            Self::Apache => "Apache-2.0",
            Self::Proprietary => "proprietary: all rights reserved",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_its_holders_and_is_whole() {
        let project = Name::parse("acme-orders").unwrap();

        let mit = Licence::Mit.text(&project).unwrap();
        assert!(mit.contains("\nCopyright (c) the authors of acme-orders\n"));
        assert!(mit.contains("\nAUTHORS OR COPYRIGHT HOLDERS BE LIABLE "));
        let apache = Licence::Apache.text(&project).unwrap();
        assert!(
            apache.contains("4. Redistribution.") && apache.contains("END OF TERMS AND CONDITIONS")
        );
        assert_eq!(Licence::Proprietary.text(&project), None);
    }
}
