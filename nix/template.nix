# `nix flake new -t github:OWNER/warp-skeleton my-service`: a copy of this repository.
self: {
  path = self.outPath;
  description = "A web service in Rust: warp, tokio-postgres, sessions with roles, telemetry";
  welcomeText = ''
    # A service of your own

    - `git init && git add --all && git commit -m Begin`: a flake sees what git knows, and a renaming
      can be taken back.
    - `nix run .#init -- NAME=acme-orders OWNER=acme` gives it its own name everywhere.
    - `nix run .#dev` brings the whole stack, `nix develop` the tools.
    - `nix flake check` tells whether everything holds.
  '';
}
