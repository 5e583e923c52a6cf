# Which files a build may see. Spelled out, so that an edit to a README rebuilds nothing, and so
# that a file which the program embeds cannot be forgotten: cargo would not find it here.
{ lib, ... }:
let
  inherit (lib) fileset;

  # These files or folders of every crate below crates/ that has them.
  ofCrates =
    parts:
    let
      crates = lib.attrNames (lib.filterAttrs (_: kind: kind == "directory") (builtins.readDir ../crates));
      pick = name: map (part: fileset.maybeMissing (../crates + "/${name}/${part}")) parts;
    in
    fileset.unions (lib.concatMap pick crates);

  # What `cargo build` reads, which looks at every member of the workspace. Migrations and the
  # pages of the documentation are embedded; the README of a crate is its documentation in the code.
  program = fileset.unions [
    ../Cargo.toml
    ../Cargo.lock
    ../build.rs
    ../src
    (ofCrates [
      "Cargo.toml"
      "LICENSE"
      "README.md"
      "src"
    ])
    ../migrations
    ../assets/docs
    ../loadtest/bench/bare
    ../xtask
  ];

  # What `cargo clippy` reads besides, and the tests, which start PostgreSQL by our script and hold
  # .env.example against the program.
  tested = fileset.unions [
    program
    (ofCrates [
      "clippy.toml"
      "benches"
      "examples"
      "tests"
    ])
    ../clippy.toml
    ../.env.example
    ../docs/reference
    ../tests
    ../scripts
  ];

  # What the tests look at besides, and nothing is compiled from: the pages, and whatever they link
  # to or name. An edit to a page runs the tests again, and builds nothing else.
  written = fileset.unions [
    tested
    ../.github
    ../AGENTS.md
    ../CHANGELOG.md
    ../CONTRIBUTING.md
    ../LICENSE
    ../Makefile
    ../README.md
    ../SECURITY.md
    ../docs
    (fileset.maybeMissing ../examples)
    ../fuzz
    ../loadtest
    ../nix
    ../ops
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
  program = toSource program;
  tested = toSource tested;
  written = toSource written;
  judged = toSource judged;

  # Everything that is in git, for checks that look at text.
  repository = ../.;
}
