# `nix run .#NAME`: the commands of a checkout, with their tools brought along. They run what the
# checkout holds (the Makefile's targets, the scripts), never a copy of it in the store.
{
  lib,
  pkgs,
  package,
  services,
  tools,
  ...
}:
let
  inCheckout =
    {
      name,
      description,
      command,
      inputs ? tools.make,
    }:
    {
      type = "app";
      program = lib.getExe (
        pkgs.writeShellApplication {
          inherit name;
          runtimeInputs = inputs;
          text = ''
            root=$(git rev-parse --show-toplevel 2>/dev/null || pwd)
            if ! grep -qs '^name = "${package.pname}"$' "$root/Cargo.toml"; then
              echo '${name}: run this inside a checkout of ${package.pname}' >&2
              exit 1
            fi
            cd "$root"
            export PG_BIN=''${PG_BIN-${pkgs.postgresql_17}/bin}
            # A project that `nix flake new` has made has lost them.
            [ -x scripts/dev ] || bash scripts/executable
            ${command}
          '';
        }
      );
      meta = { inherit description; };
    };

  # `nix run .#token -- ROLE=ADMIN` is `make token ROLE=ADMIN`.
  make =
    target: description:
    inCheckout {
      name = target;
      inherit description;
      command = ''exec make --no-print-directory ${target} "$@"'';
    };
in
{
  default = {
    type = "app";
    program = lib.getExe package.program;
    meta = { inherit (package.program.meta) description; };
  };

  dev = inCheckout {
    name = "dev";
    description = "The whole stack: service, database, traces, metrics, dashboards";
    inputs = tools.make ++ tools.observability ++ tools.load;
    command = ''exec scripts/stack up ${lib.getExe services.config.outputs.package} "$@"'';
  };

  loadtest = inCheckout {
    name = "loadtest";
    description = "Run a k6 scenario: SCENARIO [URL]";
    inputs = tools.make ++ tools.load;
    command = ''exec scripts/loadtest "$@"'';
  };

  db = inCheckout {
    name = "db";
    description = "The private PostgreSQL: start, stop, status, logs, destroy";
    command = ''exec scripts/postgres "$@"'';
  };

  fly = inCheckout {
    name = "fly";
    description = "Deploy a branch to Fly.io, or take its deployment down";
    inputs = tools.make ++ tools.deploy;
    command = ''exec scripts/fly "$@"'';
  };
}
// lib.mapAttrs make {
  migrate = "Apply pending migrations";
  migrate-create = "Write a new pair of migration files: NAME=add_notes";
  migrate-downgrade = "Undo the last migration, or the last N=2";
  token = "Print a development user's token: EMAIL= ROLE= HOURS=";
  token-admin = "Print an administrator's token: EMAIL= HOURS=";
  test = "Run every test, or some: ARGS=";
  lint = "Check formatting, clippy and the scripts";
  setup = "Check tools and settings, write .env, install the commit hook";
  init = "Give a fresh copy its own name: NAME=acme-orders OWNER= LICENSE=";
}
