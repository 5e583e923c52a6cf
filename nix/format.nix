# `nix fmt`: Nix by nixfmt and Rust by rustfmt, both on their defaults. `nix fmt FILE` formats that
# file alone, and a folder means what is in it.
{
  lib,
  pkgs,
  rust,
  ...
}:
{
  formatter = pkgs.writeShellApplication {
    name = "format";
    runtimeInputs = [
      pkgs.findutils
      pkgs.git
      pkgs.nixfmt
      rust.toolchain
    ];
    text = ''
      # The files of git below a folder, new ones included, with this ending. One that is deleted is
      # still listed.
      files() {
        git ls-files -z --cached --others --exclude-standard -- "$1" | while IFS= read -r -d ''' file; do
          case $file in *"$2") [ ! -f "$file" ] || printf '%s\0' "$file" ;; esac
        done
      }

      if [ $# = 0 ]; then
        cd "$(git rev-parse --show-toplevel)"
        files . .nix | xargs -0 -r nixfmt
        exec cargo fmt --all
      fi
      for path in "$@"; do
        if [ -d "$path" ]; then
          files "$path" .nix | xargs -0 -r nixfmt
          files "$path" .rs | xargs -0 -r rustfmt --edition ${rust.edition}
          continue
        fi
        case $path in
        *.nix) nixfmt "$path" ;;
        *.rs) rustfmt --edition ${rust.edition} "$path" ;;
        *) echo "format: $path is neither Nix nor Rust, and stays as it is" >&2 ;;
        esac
      done
    '';
    meta.description = "Format Nix and Rust";
  };

  # The same question for the sandbox, which has no git.
  nixFiles = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../default.nix
      ../flake.nix
      (lib.fileset.fileFilter (file: file.hasExt "nix") ../nix)
    ];
  };
}
