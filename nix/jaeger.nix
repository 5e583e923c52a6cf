# Jaeger's own release, until nixpkgs has a package. Null where no checksum is known: the stack
# then runs without a trace viewer.
{ lib, pkgs, ... }:
let
  inherit (pkgs.stdenv) hostPlatform;
  version = "2.20.0";
  releases = {
    x86_64-linux = {
      name = "jaeger-${version}-linux-amd64";
      sha256 = "c967368ba09be356089ef7e8aab2a76d170dc007ff6ccf7925c8167ede2900d7";
    };
    aarch64-darwin = {
      name = "jaeger-${version}-darwin-arm64";
      sha256 = "b2d21051b27f06535c288dd63e15a42d5aae653d0113695014d7e6b502736e5d";
    };
  };
  release = releases.${hostPlatform.system} or null;

  packaged = pkgs.stdenvNoCC.mkDerivation {
    pname = "jaeger";
    inherit version;
    src = pkgs.fetchurl {
      url = "https://github.com/jaegertracing/jaeger/releases/download/v${version}/${release.name}.tar.gz";
      inherit (release) sha256;
    };
    dontConfigure = true;
    dontBuild = true;
    installPhase = "install -D -m 755 jaeger $out/bin/jaeger";
    meta = {
      description = "Collects traces and shows them";
      homepage = "https://www.jaegertracing.io";
      license = lib.licenses.asl20;
      mainProgram = "jaeger";
      platforms = lib.attrNames releases;
      sourceProvenance = [ lib.sourceTypes.binaryNativeCode ];
    };
  };
in
pkgs.jaeger or (if release == null then null else packaged)
