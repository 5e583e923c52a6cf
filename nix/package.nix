# `nix build`: the program.
{
  self,
  lib,
  pkgs,
  crane,
  source,
  ...
}:
let
  inherit (pkgs) stdenv;
  inherit (crane.crateNameFromCargoToml { cargoToml = ../Cargo.toml; }) pname version;

  # The revision has to be in the program, but compiling is keyed to the sources alone: a commit
  # that touches none of them compiles nothing. So the compiler is given a text of the same length
  # as a revision, and a second, quick derivation puts the revision in its place.
  placeholder = "REV-TO-STAMP";
  revision =
    if self ? rev then
      lib.substring 0 12 self.rev
    else if self ? dirtyRev then
      lib.substring 0 6 self.dirtyRev + "-dirty"
    else
      "not-from-git";

  compiled =
    let
      common = {
        inherit pname version;
        src = source.program;
        strictDeps = true;
        # The tests are a check of their own, and need a database.
        doCheck = false;
      };
    in
    crane.buildPackage (
      common
      // {
        # `cargo build` is all that follows, so `cargo check` would be work for nothing.
        cargoArtifacts = crane.buildDepsOnly (common // { cargoCheckCommand = "true"; });
        env.GIT_REVISION = placeholder;
      }
    );

  program =
    assert lib.stringLength revision == lib.stringLength placeholder;
    stdenv.mkDerivation {
      inherit pname version;
      dontUnpack = true;
      dontStrip = true;
      # On macOS a program that was changed has to be signed again, which fixup does.
      nativeBuildInputs = lib.optional stdenv.hostPlatform.isDarwin pkgs.darwin.autoSignDarwinBinariesHook;
      installPhase = ''
        mkdir -p $out/bin
        LC_ALL=C sed 's/${placeholder}/${revision}/g' ${lib.getExe' compiled pname} > $out/bin/${pname}
        chmod +x $out/bin/${pname}
      '';
      doInstallCheck = true;
      installCheckPhase = ''
        $out/bin/${pname} --version | grep --fixed-strings '${version} (${revision})'
      '';
      # `nix build --rebuild .#default.compiled` asks whether compiling gives the same bytes again.
      passthru = { inherit compiled; };
      meta = {
        description = "A production-ready web service to fork";
        license = lib.licenses.unlicense;
        mainProgram = pname;
        platforms = lib.platforms.linux ++ lib.platforms.darwin;
      };
    };
in
{
  inherit
    pname
    version
    revision
    program
    ;
}
