//! The process. What it does is decided in [`warp_skeleton::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    warp_skeleton::cli::main()
}
