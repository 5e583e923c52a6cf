# The options of the NixOS module as a page, docs/reference/nixos-options.md, written from the module
# itself: a check holds the two against each other, and `nix run .#module-options` writes it anew.
{
  self,
  lib,
  pkgs,
  package,
  ...
}:
let
  machine = lib.evalModules {
    modules = [
      self.nixosModules.default
      {
        # What the module sets belongs to NixOS, which need not be here for its options to be listed.
        _module.check = false;
        _module.args.pkgs = pkgs;
      }
    ];
  };

  options = lib.filter (option: option.visible && !option.internal) (
    lib.optionAttrSetToDocList machine.options.services
  );

  # Roles of NixOS' own manual, such as {option}`…`, are code here.
  plain = lib.replaceStrings [ "{file}`" "{option}`" ] [ "`" "`" ];

  # A value in a list: on its line, or below it as a block.
  value =
    label: given:
    let
      text = given.text or (lib.generators.toPretty { } given);
    in
    if lib.hasInfix "\n" text then
      "- ${label}:\n\n  ```nix\n  ${lib.replaceStrings [ "\n" ] [ "\n  " ] text}\n  ```\n"
    else
      "- ${label}: `${text}`\n";

  section =
    option:
    "## `${option.name}`\n\n${lib.trim (plain option.description)}\n\n- Type: ${option.type}\n"
    + lib.optionalString (option ? default) (value "Default" option.default)
    + lib.optionalString (option ? example) (value "Example" option.example);
in
{
  page = pkgs.writeText "nixos-options.md" ''
    # Options of the NixOS module

    What `nixosModules.default` of the flake understands; [deploy on NixOS](../how-to/deploy-on-nixos.md) uses it. Written
    from `nix/module.nix` by `nix run .#module-options`.

    ${lib.concatMapStringsSep "\n" section (
      lib.sort (a: b: a.name < b.name) (
        lib.filter (option: lib.hasPrefix "services.${package.pname}." option.name) options
      )
    )}'';
}
