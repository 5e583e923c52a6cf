# `nix flake new -t github:OWNER/warp-skeleton my-service`: a copy of this repository.
self: {
  path = self.outPath;
  description = "A web service in Rust: warp, tokio-postgres, sessions with roles, telemetry";
  welcomeText = ''
    # A service of your own

    - `git init && git add --all`: a flake sees what git knows, once there is a git.
    - `nix run .#dev` brings the whole stack, `nix develop` the tools.
    - `nix flake check` tells whether everything holds.
  '';
}
