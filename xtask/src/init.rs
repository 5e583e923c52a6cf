//! `init`: a fresh copy becomes somebody's own project.

use anyhow::bail;

/// What the project is to be called.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The new name, in words joined by hyphens: acme-orders.
    name: String,
}

/// Renames the project.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    bail!("not available yet: init {}", arguments.name)
}
