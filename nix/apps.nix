# `nix run .#NAME`: the commands of a checkout, with their tools brought along. They run what the
# checkout holds (the Makefile's targets, the scripts), never a copy of it in the store.
{
  lib,
  pkgs,
  options,
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
            # A project that `nix flake new` has made has lost them.
            [ -x scripts/dev ] || bash scripts/executable
            export PG_BIN=''${PG_BIN-${pkgs.postgresql_17}/bin}
            ${command}
          '';
        }
      );
      meta = { inherit description; };
    };

  # Every target that `make help` lists: `nix run .#token -- ROLE=ADMIN` is `make token ROLE=ADMIN`.
  targets = lib.filter (found: found != null) (
    map (builtins.match "([a-z-]+):[^#]*## (.*)") (lib.splitString "\n" (builtins.readFile ../Makefile))
  );
  more = {
    attack = tools.load ++ tools.pooler;
    bench = tools.load ++ tools.pooler;
    jaeger-start = tools.observability;
    loadtest-url = tools.load;
  };
  make =
    found:
    let
      target = lib.head found;
    in
    lib.nameValuePair target (inCheckout {
      name = target;
      description = lib.last found;
      inputs = tools.make ++ more.${target} or [ ];
      command = ''exec make --no-print-directory ${target} "$@"'';
    });
in
lib.listToAttrs (map make targets)
// {
  default = {
    type = "app";
    program = lib.getExe package.program;
    meta = { inherit (package.program.meta) description; };
  };

  dev = inCheckout {
    name = "dev";
    description = "The whole stack: service, database, traces, mail, metrics, dashboards";
    inputs = tools.make ++ tools.observability ++ tools.mail ++ tools.load;
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

  module-options = inCheckout {
    name = "module-options";
    description = "Write the page of the NixOS module's options anew: docs/reference/nixos-options.md";
    command = "install -m 644 ${options.page} docs/reference/nixos-options.md";
  };
}
