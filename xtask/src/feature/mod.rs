//! `feature` and `destroy`: a room in house style, written and taken back.

use anyhow::bail;

/// What the feature is to be called and what it keeps.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The plural, in small letters: notes.
    name: String,
}

/// Which feature is to go.
#[derive(clap::Args)]
pub(crate) struct DestroyArguments {
    /// The name it was written under.
    name: String,
}

/// Writes the files of a feature.
pub(crate) fn write(arguments: &Arguments) -> anyhow::Result<()> {
    bail!("not available yet: feature {}", arguments.name)
}

/// Takes them back.
pub(crate) fn destroy(arguments: &DestroyArguments) -> anyhow::Result<()> {
    bail!("not available yet: destroy {}", arguments.name)
}
