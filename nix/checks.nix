# `nix flake check`: everything that has to hold. Dependencies are built once for all of these, in
# the development profile, as on a laptop.
{
  lib,
  pkgs,
  crane,
  source,
  package,
  docker,
  format,
  options,
  rust,
  services,
  tools,
  unit,
  vmTest,
  ...
}:
let
  inherit (pkgs.stdenv.hostPlatform) isLinux;

  common = {
    inherit (package) pname version;
    src = source.tested;
    strictDeps = true;
    env.CARGO_PROFILE = "dev";
    # The crates of the chassis are checked and tested like the service.
    cargoExtraArgs = "--locked --workspace";
    doInstallCargoArtifacts = false;
  };
  ours = common // {
    cargoArtifacts = crane.buildDepsOnly (
      common
      // {
        src = source.program;
        doInstallCargoArtifacts = true;
      }
    );
  };

  # A look at text: passes when the command does.
  look =
    name: inputs: command:
    pkgs.runCommand name { nativeBuildInputs = inputs; } ''
      cd ${source.repository}
      ${command}
      touch $out
    '';

  budget =
    name: paths: megabytes:
    pkgs.runCommand name { closure = pkgs.closureInfo { rootPaths = paths; }; } ''
      if grep -E -e '-(rust|rustc|cargo|clang|llvm)-' -e '-gcc(-wrapper)?-[0-9.]+$' -e '-deps(-[0-9.]+)?$' \
        $closure/store-paths; then
        echo 'what builds the program has to stay out of what runs it: see above' >&2
        exit 1
      fi
      bytes=$(cat $closure/total-nar-size)
      echo "$((bytes / 1000000)) MB of ${toString megabytes}"
      [ "$bytes" -lt ${toString (megabytes * 1000000)} ]
      cp $closure/store-paths $out
    '';
in
{
  package = package.program;

  clippy = crane.cargoClippy (ours // { cargoClippyExtraArgs = "--all-targets -- --deny warnings"; });

  doc = crane.cargoDoc (
    ours
    // {
      cargoDocExtraArgs = "--no-deps --document-private-items";
      env = ours.env // {
        RUSTDOCFLAGS = "--deny warnings";
      };
    }
  );

  # One Rust: what `make` finds under `nix run` and in the shell is of the release that
  # rust-toolchain.toml names, all of its tools.
  toolchain = pkgs.runCommand "toolchain" { nativeBuildInputs = tools.make; } ''
    rustc --version | tee $out
    grep -qF 'rustc ${rust.channel} ' $out
    grep -qF 'cargo ${rust.channel} ' <(cargo --version | tee -a $out)
    commit=$(sed -n 's/^rustc [^ ]* (\([0-9a-f]*\) .*/\1/p' $out)
    for tool in clippy-driver rustfmt; do
      grep -F "($commit" <($tool --version)
    done
  '';

  # An edit to a page, a test or a template of code compiles nothing of the release.
  sources =
    assert lib.assertMsg (source.strays == [ ])
      "nix/source.nix: the release is compiled again whenever one of these changes: ${toString source.strays}";
    pkgs.runCommand "sources" { } "touch $out";

  # The page says what the module understands.
  module-options = look "module-options" [ pkgs.diffutils ] ''
    diff ${options.page} docs/reference/nixos-options.md || {
      echo 'docs/reference/nixos-options.md is not what nix/module.nix says: nix run .#module-options' >&2
      exit 1
    }
  '';

  # Over a real PostgreSQL, which the tests start by scripts/postgres and cannot do without.
  test = crane.cargoTest (
    ours
    // {
      # They hold the pages against the program, too.
      src = source.written;
      nativeBuildInputs = [
        # By which `make remove` knows what belongs to the project.
        pkgs.git
        pkgs.openssl
        pkgs.postgresql_17
        pkgs.procps
      ]
      ++ tools.pooler
      # mail: begin
      ++ tools.mail
      # mail: end
      ++ lib.optional isLinux pkgs.util-linux;
      # The sandbox has no /usr/bin/env.
      postPatch = "patchShebangs scripts";
      preCheck = "git init --quiet";
      __darwinAllowLocalNetworking = true;
    }
  );

  deny = crane.cargoDeny {
    inherit (package) pname version;
    # Advisories change daily, and are looked at outside the sandbox, by .ci/run.
    src = source.judged;
  };

  format-rust = crane.cargoFmt {
    inherit (package) pname version;
    src = source.tested;
  };

  format-nix = pkgs.runCommand "format-nix" { nativeBuildInputs = [ pkgs.nixfmt ]; } ''
    find ${format.nixFiles} -name '*.nix' -exec nixfmt --check {} +
    touch $out
  '';

  unused-nix = pkgs.runCommand "unused-nix" { nativeBuildInputs = [ pkgs.deadnix ]; } ''
    deadnix --fail ${format.nixFiles}
    touch $out
  '';

  scripts = look "scripts" [ pkgs.shellcheck ] "shellcheck scripts/* tests/scripts/* .ci/run";

  fly = look "fly" [
    pkgs.jq
    pkgs.openssl
  ] "bash tests/scripts/fly";

  workflows = look "workflows" [
    pkgs.actionlint
    pkgs.shellcheck
    pkgs.zizmor
  ] "actionlint .github/workflows/* && zizmor --offline .";

  # Scrape configuration, rules with their tests, dashboards: as far as there are any.
  ops = look "ops" [
    (pkgs.prometheus.cli or pkgs.prometheus)
    pkgs.jq
  ] "bash scripts/check-ops";

  budget = budget "budget" [ package.program ] 60;

  # By process-compose itself, which refuses what it does not know.
  stack = pkgs.runCommand "stack" { nativeBuildInputs = [ pkgs.process-compose ]; } ''
    export HOME=$TMPDIR PROC_COMP_CONFIG=$TMPDIR PC_LOG_FILE=$TMPDIR/log
    process-compose --dry-run --config ${services.config.outputs.settingsFile} > $out || {
      cat $TMPDIR/log >&2
      exit 1
    }
  '';
}
// lib.optionalAttrs isLinux {
  budget-image = budget "budget-image" docker.contents 60;
  inherit (unit) hardening;
  vm = vmTest;
}
