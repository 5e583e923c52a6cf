# Which files a build may see. Spelled out, so that an edit to a README rebuilds nothing, and so
# that a file which the program embeds cannot be forgotten: cargo would not find it here.
{ lib, ... }:
let
  inherit (lib) fileset;

  # What `cargo build` reads, which looks at every member of the workspace. Migrations and the
  # pages of the documentation are embedded.
  program = fileset.unions [
    ../Cargo.toml
    ../Cargo.lock
    ../build.rs
    ../src
    ../migrations
    ../assets/docs
    ../loadtest/bench/bare
    ../xtask
  ];

  # What `cargo clippy` and `cargo test` read besides. The tests start PostgreSQL by our script,
  # and hold .env.example, the references and the page on security against the program.
  tested = fileset.unions [
    program
    ../clippy.toml
    ../.env.example
    ../docs/reference
    ../docs/security.md
    ../tests
    ../scripts
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
  judged = toSource judged;

  # Everything that is in git, for checks that look at text.
  repository = ../.;
}
