# The module's systemd units, as a machine would have them, held against systemd's own judgement.
{
  self,
  inputs,
  lib,
  pkgs,
  package,
  ...
}:
let
  machine = inputs.nixpkgs.lib.nixosSystem {
    modules = [
      self.nixosModules.default
      # Once more, as two files of a configuration may: it counts once.
      self.nixosModules.default
      {
        nixpkgs.hostPlatform = pkgs.stdenv.hostPlatform.system;
        system.stateVersion = "25.11";
        boot.isContainer = true;
        services.warp-skeleton = {
          enable = true;
          secrets.JWT_SECRET_KEY = "/run/secrets/jwt";
        };
      }
    ];
  };

  # Only the text is looked at, so the programs that it names need not be built.
  text = unit: builtins.unsafeDiscardStringContext machine.config.systemd.units.${unit}.text;

  units = [
    "${package.pname}-1.service"
    "${package.pname}-migrate.service"
  ];
in
{
  hardening = pkgs.runCommand "hardening" { nativeBuildInputs = [ pkgs.systemd ]; } ''
    mkdir units run $out
    ${lib.concatMapStrings (unit: ''
      cp ${pkgs.writeText unit (text unit)} units/${unit}
      # From 0, locked away, to 10, at large; the threshold is in tenths, just above what we have.
      # Judged as a user's unit, because the system's judge wants to write to /run.
      XDG_RUNTIME_DIR=$PWD/run systemd-analyze --user security --offline=true --no-pager --threshold=15 \
        $PWD/units/${unit} > $out/${unit}.txt || { cat $out/${unit}.txt; exit 1; }
      tail -n 1 $out/${unit}.txt
    '') units}
  '';
}
