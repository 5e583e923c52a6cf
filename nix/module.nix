# The service on a NixOS machine: one systemd unit for each replica, migrations as a unit before
# them, and, where asked for, a local PostgreSQL and nginx.
self:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.warp-skeleton;
  name = "warp-skeleton";
  # Owns the tables and migrates; the service itself has data access only.
  owner = "${name}_owner";

  replicas = lib.range 1 cfg.replicas;
  unitOf = number: "${name}-${toString number}";
  portOf = number: cfg.port + number - 1;

  environment = lib.mapAttrs (
    _: value: if lib.isBool value then (if value then "on" else "off") else toString value
  ) cfg.settings;

  # A secret is a file that systemd reads as root and shows to the unit alone. Each setting that is
  # one has a second name, which takes a file.
  secrets = {
    LoadCredential = lib.mapAttrsToList (key: file: "${key}:${file}") cfg.secrets;
    Environment = lib.mapAttrsToList (key: _: "${key}_FILE=%d/${key}") cfg.secrets;
  };

  # What the program needs of the system is a socket and some memory; everything else is taken
  # away. `systemd-analyze security` lists the reasons line by line.
  confined = {
    DynamicUser = true;
    # One name for all units: PostgreSQL knows its peer by it.
    User = name;
    Group = name;
    UMask = "0077";
    CapabilityBoundingSet = "";
    AmbientCapabilities = "";
    NoNewPrivileges = true;
    DevicePolicy = "closed";
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    PrivateDevices = true;
    PrivateMounts = true;
    PrivateTmp = true;
    PrivateUsers = true;
    ProcSubset = "pid";
    ProtectClock = true;
    ProtectControlGroups = true;
    ProtectHome = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectProc = "invisible";
    ProtectSystem = "strict";
    RemoveIPC = true;
    RestrictAddressFamilies = [
      "AF_INET"
      "AF_INET6"
      "AF_UNIX"
    ];
    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    SystemCallArchitectures = "native";
    SystemCallErrorNumber = "EPERM";
    SystemCallFilter = [
      "@system-service"
      "~@privileged @resources"
    ];
  };

  database = lib.optionals cfg.database.createLocally [ "postgresql.target" ];
  roles = lib.optionals cfg.database.createLocally [ "${name}-roles.service" ];
  online = lib.optionals (!cfg.database.createLocally) [ "network-online.target" ];
in
{
  options.services.warp-skeleton = {
    enable = lib.mkEnableOption "warp-skeleton, a web service";

    package = mkOption {
      type = types.package;
      default = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
      defaultText = lib.literalExpression "warp-skeleton.packages.\${system}.default";
      description = "The package to run.";
    };

    replicas = mkOption {
      type = types.ints.between 1 64;
      default = 1;
      description = ''
        How many processes to run, as units `warp-skeleton-1` and so on. With two or more behind
        nginx, one can be restarted without a request being lost.
      '';
    };

    port = mkOption {
      type = types.port;
      default = 8000;
      description = "Where the first replica listens; each further one takes the next port.";
    };

    address = mkOption {
      type = types.str;
      default = "127.0.0.1";
      description = "The address to listen on. Loopback, because TLS is the business of a proxy.";
    };

    settings = mkOption {
      type = types.attrsOf (
        types.oneOf [
          types.bool
          types.int
          types.float
          types.str
        ]
      );
      default = { };
      example = {
        LOG_LEVEL = "info";
        OTLP_ENDPOINT = "http://127.0.0.1:4318";
        HSTS_MAX_AGE = 31536000;
        PUBLIC_URL = "https://api.example.com";
        MAIL_FROM = "Acme <no-reply@example.com>";
      };
      description = ''
        Settings by the names of {file}`.env.example`. They end up in the world-readable Nix store:
        secrets go into {option}`services.warp-skeleton.secrets`.
      '';
    };

    secrets = mkOption {
      type = types.attrsOf types.externalPath;
      default = { };
      example = {
        JWT_SECRET_KEY = "/run/secrets/warp-skeleton/jwt";
        DB_PASSWORD = "/run/secrets/warp-skeleton/db";
        MAIL_URL = "/run/secrets/warp-skeleton/mail";
      };
      description = ''
        Files that hold secret settings, by the setting's name. They are read by systemd
        (`LoadCredential`), so that they can belong to root and be closed to everyone else.
        `JWT_SECRET_KEY` is required.
      '';
    };

    database.createLocally = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether to run PostgreSQL on this machine, with a database and a role named
        `warp-skeleton` and a role `warp-skeleton_owner` for migrations, reached by a unix socket
        and told apart by the operating system's user, so that there is no password. Otherwise {option}`services.warp-skeleton.settings` says where
        the database is.
      '';
    };

    nginx = {
      enable = lib.mkEnableOption "nginx in front of the replicas";
      virtualHost = mkOption {
        type = types.str;
        default = "localhost";
        example = "api.example.com";
        description = ''
          The name of the nginx virtual host; TLS and the like are set by
          {option}`services.nginx.virtualHosts`.
        '';
      };
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.secrets ? JWT_SECRET_KEY;
        message = "services.warp-skeleton.secrets.JWT_SECRET_KEY has to name a file (openssl rand -hex 32 makes its content)";
      }
      {
        assertion = cfg.replicas == 1 || !(cfg.settings ? ADMIN_PORT);
        message = "services.warp-skeleton.settings.ADMIN_PORT is one port, and each of the replicas would want it";
      }
      # mail: begin
      {
        assertion = !(lib.hasInfix "@" (cfg.settings.MAIL_URL or ""));
        message = "services.warp-skeleton.settings.MAIL_URL holds a password, which every user could read in the store: put it into services.warp-skeleton.secrets.MAIL_URL";
      }
      {
        assertion = cfg.settings ? MAIL_FROM || !(cfg.settings ? MAIL_URL || cfg.secrets ? MAIL_URL);
        message = "services.warp-skeleton.settings.MAIL_FROM says who sends the mail that goes to MAIL_URL";
      }
      # mail: end
      {
        assertion = !(cfg.settings ? LISTEN_SOCKET);
        message = "services.warp-skeleton.settings.LISTEN_SOCKET: the replicas listen on ports, and may write no file";
      }
    ];

    services.warp-skeleton.settings = lib.mkMerge [
      {
        APP_ENV = lib.mkDefault "production";
        HOST = cfg.address;
      }
      (lib.mkIf cfg.database.createLocally {
        DB_HOST = "/run/postgresql";
        DB_NAME = name;
        DB_USER = name;
      })
      (lib.mkIf cfg.nginx.enable { TRUSTED_PROXIES = lib.mkDefault "127.0.0.0/8,::1/128"; })
    ];

    systemd.services = {
      "${name}-roles" = lib.mkIf cfg.database.createLocally {
        description = "Roles of ${name} in PostgreSQL";
        after = database;
        wants = database;
        path = [ config.services.postgresql.package ];
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          User = "postgres";
          Group = "postgres";
        };
        # A new database is the administrator's, and becomes the owner's. One that was made before
        # there were two roles is the service's: its owner may act for the service, so that it can
        # migrate what is there, until docs/how-to/use-two-database-roles.md is followed.
        script = ''
          psql --no-psqlrc -q -v ON_ERROR_STOP=1 -d postgres <<'SQL'
          SELECT 'ALTER DATABASE "${name}" OWNER TO "${owner}"'
          FROM pg_database
          WHERE datname = '${name}' AND pg_get_userbyid(datdba) = current_user \gexec
          SELECT 'GRANT "${name}" TO "${owner}"'
          FROM pg_database
          WHERE datname = '${name}' AND pg_get_userbyid(datdba) = '${name}' \gexec
          SQL
        '';
      };
      "${name}-migrate" = {
        description = "Schema of ${name}";
        after = [ "network.target" ] ++ online ++ database ++ roles;
        # Wanted, not required: a restart of PostgreSQL would otherwise take everything with it.
        wants = online ++ database ++ roles;
        startLimitIntervalSec = 0;
        environment =
          environment
          // lib.optionalAttrs cfg.database.createLocally {
            MIGRATE_DATABASE_URL = "host=/run/postgresql dbname=${name} user=${owner}";
          };
        serviceConfig =
          confined
          // secrets
          // lib.optionalAttrs cfg.database.createLocally {
            # PostgreSQL knows its peer by it.
            User = owner;
            Group = owner;
          }
          // {
            Type = "oneshot";
            RemainAfterExit = true;
            ExecStart = "${lib.getExe cfg.package} migrate up";
            # After a power cut the database may be the last to come back.
            Restart = "on-failure";
            RestartSec = 30;
          };
      };
    }
    // lib.listToAttrs (
      map (
        number:
        lib.nameValuePair (unitOf number) {
          description = "${name}, replica ${toString number}";
          wantedBy = [ "multi-user.target" ];
          after = [ "${name}-migrate.service" ];
          # Wanted, not required: what is required takes this unit with it when it is restarted or
          # fails. Without the schema that it knows, the program does not serve, and ends.
          wants = [ "${name}-migrate.service" ];
          # A database that is out for an hour is no reason to give up on it.
          startLimitIntervalSec = 0;
          environment = environment // {
            PORT = toString (portOf number);
          };
          serviceConfig =
            confined
            // secrets
            // {
              ExecStart = "${lib.getExe cfg.package} serve";
              Restart = "always";
              RestartSec = 1;
              # Above the service's own SHUTDOWN_TIMEOUT_MS and SHUTDOWN_DELAY_MS.
              TimeoutStopSec = 60;
              LimitNOFILE = 65536;
            };
        }
      ) replicas
    );

    services.postgresql = lib.mkIf cfg.database.createLocally {
      enable = true;
      ensureDatabases = [ name ];
      ensureUsers = [
        { inherit name; }
        { name = owner; }
      ];
    };

    services.nginx = lib.mkIf cfg.nginx.enable {
      enable = true;
      recommendedProxySettings = lib.mkDefault true;
      upstreams.${name}.servers = lib.listToAttrs (
        map (number: lib.nameValuePair "${cfg.address}:${toString (portOf number)}" { }) replicas
      );
      virtualHosts.${cfg.nginx.virtualHost}.locations = {
        "/".proxyPass = "http://${name}";
        # For Prometheus, which asks the replicas themselves.
        "= /metrics".return = "404";
      };
    };
  };
}
