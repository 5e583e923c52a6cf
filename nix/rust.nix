# The Rust of rust-toolchain.toml: what rustup brings without Nix builds and checks here too. The one of nixpkgs is
# another version on another day, and clippy finds other things.
{
  inputs,
  lib,
  pkgs,
  ...
}:
let
  file = ../rust-toolchain.toml;
  toolchain = (inputs.rust-overlay.lib.mkRustBin { } pkgs).fromRustupToolchainFile file;
in
rec {
  inherit ((lib.importTOML file).toolchain) channel;
  inherit ((lib.importTOML ../Cargo.toml).package) edition;
  inherit toolchain;

  # What a person has at hand besides.
  full = toolchain.override (arguments: {
    extensions = arguments.extensions or [ ] ++ [
      "llvm-tools"
      "rust-analyzer"
      "rust-src"
    ];
  });

  # Coverage is counted by the compiler's own LLVM, and only tools of that version read the counts.
  llvm = "${full}/lib/rustlib/${pkgs.stdenv.hostPlatform.rust.rustcTarget}/bin";
}
