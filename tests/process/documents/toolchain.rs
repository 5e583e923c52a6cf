//! One Rust: what `rust-toolchain.toml` says is what every way to build this uses.

use super::{files, read};

/// The value of the first line `key = "value"`.
#[track_caller]
fn value(text: &str, key: &str) -> String {
    let line = text.lines().find_map(|line| {
        let rest = line.strip_prefix(key)?.trim_start().strip_prefix('=')?;
        rest.trim().strip_prefix('"')?.split('"').next()
    });
    line.unwrap_or_else(|| panic!("no {key} in {text}"))
        .to_owned()
}

fn channel() -> String {
    value(&read("rust-toolchain.toml"), "channel")
}

#[test]
fn images_to_build_in_have_the_rust_of_the_toolchain_file() {
    let channel = channel();
    assert!(
        channel
            .split('.')
            .filter(|part| part.parse::<u32>().is_ok())
            .count()
            == 3,
        "a release and no moving channel: {channel}"
    );

    for file in ["Dockerfile", ".devcontainer/devcontainer.json"] {
        let text = read(file);
        let images: Vec<&str> = text.split("rust:").skip(1).collect();
        assert!(!images.is_empty(), "{file} builds on no image of Rust");
        for image in images {
            let version = image.split(['-', '"', ' ', '\n']).next().unwrap();
            assert_eq!(version, channel, "{file}");
        }
    }
}

#[test]
fn every_manifest_asks_for_the_release_of_the_toolchain_file() {
    let channel = channel();
    let (release, _) = channel.rsplit_once('.').unwrap();
    let mut manifests = vec!["Cargo.toml".into(), "xtask/Cargo.toml".into()];
    manifests.extend(files("crates", "Cargo.toml"));
    manifests.extend(files("loadtest", "Cargo.toml"));
    assert!(manifests.len() > 7, "{manifests:?}");

    for manifest in manifests {
        let version = value(&read(&manifest), "rust-version");
        assert_eq!(version, release, "{}", manifest.display());
    }
}

#[test]
fn nix_has_no_rust_but_that_of_the_toolchain_file() {
    let rust = read("nix/rust.nix");
    assert!(rust.contains("file = ../rust-toolchain.toml;"));
    assert!(rust.contains(".fromRustupToolchainFile file"));
    let flake = read("flake.nix");
    assert!(flake.contains(".overrideToolchain parts.rust.toolchain"));

    for file in files("nix", ".nix") {
        for (number, line) in read(&file).lines().enumerate() {
            // Whole words: pkgs.cargo-deny is another thing.
            let strangers = ["cargo", "rustc", "rustfmt", "clippy", "rust-analyzer"]
                .into_iter()
                .filter(|tool| {
                    line.match_indices(&format!("pkgs.{tool}"))
                        .any(|(at, found)| {
                            !line[at + found.len()..]
                                .starts_with(|next: char| next.is_alphanumeric() || next == '-')
                        })
                });
            let strangers: Vec<&str> = strangers.collect();
            assert!(
                strangers.is_empty(),
                "{}:{}: {strangers:?} of nixpkgs",
                file.display(),
                number + 1
            );
        }
    }
}

/// Where rustup is, it follows `rust-toolchain.toml` by itself, unless it is told another version.
#[test]
fn ci_and_scripts_name_no_other_rust() {
    let mut looked_at = 0;
    let places = files(".github", ".yml").into_iter();
    let places = places.chain(files("scripts", "")).chain([".ci/run".into()]);
    for file in places {
        for line in read(&file).lines() {
            let line = line.trim();
            if line.starts_with('#') {
                continue;
            }
            looked_at += 1;
            // The job that tries the newest says so with +stable; coverage-guided fuzzing needs a nightly compiler.
            let moves = line.contains("rustup default")
                || line.contains("rustup override")
                || line.contains("RUSTUP_TOOLCHAIN")
                || line.contains("rust-toolchain@")
                || line.contains("cargo +1");
            assert!(!moves, "{}: {line}", file.display());
        }
    }
    assert!(looked_at > 1000, "{looked_at} lines are not all of them");
}
