# Which files a build may see. Spelled out, so that an edit to a README rebuilds nothing, and so
# that a file which the program embeds cannot be forgotten: cargo would not find it here.
{ lib, ... }:
let
  inherit (lib) fileset;

  # These files or folders of every crate below crates/ that has them.
  ofCrates =
    parts:
    let
      crates = lib.attrNames (
        lib.filterAttrs (_: kind: kind == "directory") (builtins.readDir ../crates)
      );
      pick = name: map (part: fileset.maybeMissing (../crates + "/${name}/${part}")) parts;
    in
    fileset.unions (lib.concatMap pick crates);

  # What `cargo build` reads: what is compiled and embedded, and enough of the other members of the
  # workspace for cargo to find them.
  program = fileset.unions [
    ../Cargo.toml
    ../Cargo.lock
    ../build.rs
    ../src
    (ofCrates [
      "Cargo.toml"
      "src"
    ])
    ../migrations
    (fileset.fileFilter (file: !file.hasExt "md") ../assets/docs)
    ../loadtest/bench/bare/Cargo.toml
    ../loadtest/bench/bare/src/main.rs
    ../xtask/Cargo.toml
    ../xtask/src/main.rs
  ];

  # What `cargo clippy` and `cargo doc` read besides, and the tests, which start PostgreSQL by our
  # script and hold .env.example against the program.
  tested = fileset.unions [
    program
    (ofCrates [
      "LICENSE"
      "README.md"
      "clippy.toml"
      "benches"
      "examples"
      "tests"
    ])
    ../loadtest/bench/bare
    ../xtask
    ../clippy.toml
    ../.env.example
    ../docs/reference
    ../examples/jobs_program.rs
    ../ops/gitleaks.toml
    ../tests
    ../scripts
  ];

  # What the tests look at besides, and nothing is compiled from: the pages, and whatever they link
  # to or name. An edit to a page runs the tests again, and builds nothing else.
  written = fileset.unions [
    tested
    ../.ci
    ../.devcontainer
    ../.github
    ../.gitignore
    ../AGENTS.md
    ../CHANGELOG.md
    ../CONTRIBUTING.md
    ../Dockerfile
    ../LICENSE
    ../Makefile
    ../README.md
    ../SECURITY.md
    ../assets/docs
    ../compose.yaml
    ../crates/CHANGELOG.md
    ../deny.toml
    ../docs
    (fileset.maybeMissing ../examples)
    ../flake.nix
    ../fly.toml
    ../fuzz
    ../loadtest
    ../nix
    ../ops
    ../rust-toolchain.toml
  ];

  # What `cargo deny check` reads besides.
  judged = fileset.unions [
    program
    ../deny.toml
  ];

  toSource =
    files:
    fileset.toSource {
      root = ../.;
      fileset = files;
    };
in
{
  # By which an edit to a page, a test or a template of code would compile the release again.
  strays = lib.filter (
    path:
    lib.any (part: lib.hasInfix part path) [
      ".md"
      "/benches/"
      "/docs/reference/"
      "/examples/"
      "/xtask/templates/"
      "/tests/"
    ]
  ) (map (lib.path.removePrefix ../.) (fileset.toList program));

  program = toSource program;
  tested = toSource tested;
  written = toSource written;
  judged = toSource judged;

  # Everything that is in git, for checks that look at text.
  repository = ../.;
}
