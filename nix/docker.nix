# `nix build .#docker`, then `docker load < result`: the program, the C library, certificates,
# and nothing else. There is no shell: `healthcheck` and `migrate up` are commands of the program.
{
  self,
  lib,
  pkgs,
  package,
  ...
}:
let
  inherit (package) pname version revision;

  # When the sources were committed: the same for everyone who builds them.
  created =
    let
      part = lib.substring;
      date = self.lastModifiedDate;
    in
    "${part 0 4 date}-${part 4 2 date}-${part 6 2 date}T${part 8 2 date}:${part 10 2 date}:${part 12 2 date}Z";

  seconds = count: count * 1000000000;

  image = {
    name = pname;
    tag = version;
    inherit created;
    contents = [
      package.program
      pkgs.dockerTools.caCertificates
    ];
    config = {
      Entrypoint = [ "/bin/${pname}" ];
      Cmd = [ "serve" ];
      # A number, because there is no /etc/passwd: nobody of any distribution.
      User = "65532:65532";
      Env = [
        "APP_ENV=production"
        "HOST=0.0.0.0"
        "SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt"
      ];
      ExposedPorts."8000/tcp" = { };
      # The program is process 1 and minds this signal itself.
      StopSignal = "SIGTERM";
      Healthcheck = {
        Test = [
          "CMD"
          "/bin/${pname}"
          "healthcheck"
        ];
        Interval = seconds 10;
        Timeout = seconds 5;
        StartPeriod = seconds 30;
        Retries = 3;
      };
      Labels = {
        "org.opencontainers.image.title" = pname;
        "org.opencontainers.image.description" = package.program.meta.description;
        "org.opencontainers.image.source" = "https://github.com/OWNER/${pname}";
        "org.opencontainers.image.licenses" = "Unlicense";
        "org.opencontainers.image.version" = version;
        "org.opencontainers.image.revision" = revision;
        "org.opencontainers.image.created" = created;
      };
    };
  };
in
{
  # What an image unpacks to, for the budget.
  inherit (image) contents;

  # Images are for Linux; on a Mac these need a Linux builder.
  packages = lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux {
    docker = pkgs.dockerTools.buildLayeredImage image;
    # A script that writes the image to standard output: quicker where it is loaded at once.
    docker-stream = pkgs.dockerTools.streamLayeredImage image;
  };
}
