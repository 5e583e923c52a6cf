# `nix develop`: a shell in which every target of the Makefile works.
{
  lib,
  pkgs,
  rust,
  tools,
  ...
}:
pkgs.mkShell {
  packages = [
    rust.full
    pkgs.stdenv.cc
  ]
  ++ lib.concatLists (
    lib.attrValues (
      removeAttrs tools [
        "make"
        "rust"
      ]
    )
  );

  # scripts/postgres looks here first: whatever else the machine has stays out of it.
  PG_BIN = "${pkgs.postgresql_17}/bin";

  # For scripts/coverage.
  LLVM_COV = "${rust.llvm}/llvm-cov";
  LLVM_PROFDATA = "${rust.llvm}/llvm-profdata";

  # On a terminal only: `nix develop -c make test | tee log` wants no greeting.
  shellHook = ''
    if [ -t 1 ]; then
      cat <<'HELLO'

      nix run .#dev    the whole stack: service, database, traces, mail, metrics, dashboards
      make dev         the service alone, on a private PostgreSQL
      make test        every test; ARGS="--test api sessions" picks some
      make lint        formatting, clippy, shellcheck
      make help        the other targets

    HELLO
    fi
  '';
}
