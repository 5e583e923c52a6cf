//! The process. What it does is decided in [`warp_skeleton::cli`].

use std::process::ExitCode;

#[cfg(not(target_env = "musl"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    warp_skeleton::cli::main()
}
