# `nix fmt`: Nix by nixfmt and Rust by rustfmt, both on their defaults.
{ lib, pkgs, ... }:
{
  formatter = pkgs.writeShellApplication {
    name = "format";
    runtimeInputs = [
      pkgs.cargo
      pkgs.git
      pkgs.nixfmt
      pkgs.rustfmt
    ];
    text = ''
      cd "$(git rev-parse --show-toplevel)"
      git ls-files -z --cached --others --exclude-standard '*.nix' | xargs -0 nixfmt
      cargo fmt --all
    '';
    meta.description = "Format Nix and Rust";
  };

  # The same question for the sandbox, which has no git.
  nixFiles = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../flake.nix
      (lib.fileset.fileFilter (file: file.hasExt "nix") ../nix)
    ];
  };
}
