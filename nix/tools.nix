# What work in a checkout needs on PATH, whether in `nix develop` or behind `nix run .#test`.
{
  lib,
  pkgs,
  jaeger,
  rust,
  ...
}:
let
  tools = {
    rust = [
      rust.toolchain
      pkgs.stdenv.cc
    ];

    # What the scripts of this repository call.
    scripts = [
      pkgs.bash
      pkgs.coreutils
      pkgs.curl
      pkgs.findutils
      pkgs.gawk
      pkgs.git
      pkgs.gnugrep
      pkgs.gnumake
      pkgs.gnused
      pkgs.jq
      pkgs.openssl
      pkgs.procps
      pkgs.python3
      pkgs.shellcheck
      pkgs.watchexec
    ]
    ++ lib.optional pkgs.stdenv.hostPlatform.isLinux pkgs.util-linux;

    postgresql = [ pkgs.postgresql_17 ];

    # The tests behind a pooler are skipped without it, and so are measurements of it.
    pooler = [ pkgs.pgbouncer ];

    observability = [
      pkgs.grafana
      pkgs.prometheus
      # promtool is an output of its own.
      (pkgs.prometheus.cli or pkgs.prometheus)
    ]
    ++ lib.optional (jaeger != null) jaeger;

    # mail: begin
    # The tests that send every template to a real one are skipped without it.
    mail = [ pkgs.mailpit ];

    # mail: end
    # wrk where a package set has what it builds against.
    load = [ pkgs.k6 ] ++ lib.optional (pkgs.openssl ? dev) pkgs.wrk;

    deploy = [
      pkgs.flyctl
      pkgs.skopeo
    ];

    # What a person has at hand besides.
    person = [
      pkgs.actionlint
      pkgs.cargo-deny
      pkgs.cargo-llvm-cov
      pkgs.cargo-nextest
      pkgs.nixfmt
      pkgs.process-compose
    ];
  };
in
tools
// {
  # Enough for every target of the Makefile.
  make = tools.rust ++ tools.scripts ++ tools.postgresql;
}
