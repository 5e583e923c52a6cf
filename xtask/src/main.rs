//! What a developer of this project does now and then: make a fork theirs, write or remove a feature. Not part of the service.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod feature;
mod init;
mod origin;
mod remove;
mod upgrade;

#[derive(Parser)]
#[command(
    name = "xtask",
    bin_name = "cargo run -p xtask --",
    about,
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Give this copy its own name.
    Init(init::Arguments),
    /// Write the files of a new feature.
    Feature(feature::Arguments),
    // jobs: begin
    /// Write a kind of job of a feature, with its test.
    Job(feature::JobArguments),
    // jobs: end
    /// Remove features with everything that belongs to them.
    Remove(remove::Arguments),
    /// Take over a newer version of the skeleton.
    Upgrade(upgrade::Arguments),
    /// Print what each feature adds, as docs/reference/features.md.
    Features(remove::Measured),
    /// Take back a feature that was written and not changed since.
    Destroy(feature::DestroyArguments),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        // A refusal is for a person to read: no backtrace, whatever RUST_BACKTRACE says.
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Init(arguments) => init::run(&arguments),
        Command::Feature(arguments) => feature::write(&arguments),
        Command::Job(arguments) => feature::write_job(&arguments),
        Command::Remove(arguments) => remove::run(&arguments),
        Command::Upgrade(arguments) => upgrade::run(&arguments),
        Command::Features(measured) => remove::print_features(&measured),
        Command::Destroy(arguments) => feature::destroy(&arguments),
    }
}
