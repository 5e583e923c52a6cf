{
  description = "A production-ready web service to fork: warp, hand-written SQL on PostgreSQL, sessions with roles";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    # Builds the dependencies apart from our own code, so that an edit compiles only the latter.
    crane.url = "github:ipetkov/crane";
    # The releases of Rust as they are published: the one that rust-toolchain.toml names, and no other.
    rust-overlay.url = "github:oxalica/rust-overlay";
    rust-overlay.inputs.nixpkgs.follows = "nixpkgs";
    # Types for the configuration of process-compose, which runs the development stack.
    process-compose-flake.url = "github:Platonic-Systems/process-compose-flake";
  };

  outputs =
    { self, nixpkgs, ... }@inputs:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "aarch64-darwin"
      ];

      # The files of nix/ for one package set. Each file is a function of the others, by name.
      partsOf =
        pkgs:
        let
          open = file: import file parts;
          parts = {
            inherit self inputs pkgs;
            inherit (pkgs) lib;
            rust = open ./nix/rust.nix; # the compiler that rust-toolchain.toml names
            crane = (inputs.crane.mkLib pkgs).overrideToolchain parts.rust.toolchain;
            source = open ./nix/source.nix; # which files a build may see
            package = open ./nix/package.nix; # the program, and its dependencies built once
            docker = open ./nix/docker.nix; # the container image
            jaeger = open ./nix/jaeger.nix; # the trace viewer, which nixpkgs lacks
            tools = open ./nix/tools.nix; # what work in a checkout needs on PATH
            shell = open ./nix/shell.nix; # those tools as a shell
            services = open ./nix/services.nix; # the development stack: which processes, in which order
            apps = open ./nix/apps.nix; # commands of a checkout, the stack's among them
            format = open ./nix/format.nix; # how Nix and Rust are formatted
            checks = open ./nix/checks.nix; # everything that has to hold
            options = open ./nix/options.nix; # the page of the module's options
            unit = open ./nix/unit.nix; # how well the module's systemd units are confined
            vmTest = open ./nix/vm-test.nix; # the module on a NixOS machine, under load
          };
        in
        parts;

      each = pick: lib.genAttrs systems (system: pick (partsOf nixpkgs.legacyPackages.${system}));
    in
    {
      packages = each (
        parts:
        {
          default = parts.package.program;
        }
        // parts.docker.packages
      );
      apps = each (parts: parts.apps);
      devShells = each (parts: {
        default = parts.shell;
      });
      checks = each (parts: parts.checks);
      formatter = each (parts: parts.format.formatter);

      overlays.default = final: _: {
        warp-skeleton = (partsOf final).package.program;
      };
      # systemd units, database, nginx. By the key it counts once, however often it is imported.
      nixosModules.default = {
        key = "${self}/nix/module.nix";
        imports = [ (lib.modules.importApply ./nix/module.nix self) ];
      };
      # until init
      templates.default = import ./nix/template.nix self; # nix flake new
      # end until init
    };
}
