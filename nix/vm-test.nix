# The module on a NixOS machine: two replicas behind nginx, a PostgreSQL reached by its socket. One
# replica is restarted under load without a failed request, and PostgreSQL is restarted under both.
{ self, pkgs, ... }:
pkgs.testers.runNixOSTest {
  name = "warp-skeleton";

  nodes.machine = {
    imports = [ self.nixosModules.default ];
    virtualisation.memorySize = 2048;
    virtualisation.cores = 2;
    environment.systemPackages = [
      pkgs.jq
      pkgs.oha
    ];
    # A test's secret; a real one never enters the store.
    environment.etc."jwt".text = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
    services.warp-skeleton = {
      enable = true;
      replicas = 2;
      nginx.enable = true;
      secrets.JWT_SECRET_KEY = "/etc/jwt";
      # All of the load comes from one address.
      settings.RATE_LIMIT = false;
    };
  };

  testScript = builtins.readFile ./vm-test.py;
}
