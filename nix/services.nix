# The development stack: which processes there are, and what each waits for. What a process is,
# down to its ports, is in scripts/stack: a port is chosen when the stack starts, so that two
# checkouts can run at once, and Nix knows nothing of that moment. That is also why these are not
# the ready-made modules of services-flake, whose ports are fixed when they are evaluated.
{
  inputs,
  pkgs,
  ...
}:
let
  # A server: healthy when scripts/stack says that it answers, and restarted when it falls over.
  server = name: waitsFor: {
    command = "exec scripts/stack ${name}";
    depends_on = waitsFor;
    readiness_probe = {
      exec.command = "scripts/stack ready ${name}";
      period_seconds = 1;
      timeout_seconds = 5;
      # Nothing is given up on: the first start compiles the service, and what does not compile or
      # start now may be mended tomorrow.
      failure_threshold = 100000000;
    };
    availability = {
      restart = "on_failure";
      max_restarts = 3;
    };
    shutdown.timeout_seconds = 40;
  };

  healthy.condition = "process_healthy";
  done.condition = "process_completed_successfully";
  started.condition = "process_started";
in
(import inputs.process-compose-flake.lib { inherit pkgs; }).evalModules {
  name = "warp-skeleton-stack";
  modules = [
    {
      cli.environment = {
        # The service reads .env itself, and both must not disagree on quotes.
        PC_DISABLE_DOTENV = true;
      };
      # A socket of this checkout's own, not port 8080, which another checkout's has.
      cli.options.use-uds = true;
      settings = {
        version = "0.5";
        is_strict = true;
        ordered_shutdown = true;
        processes = {
          # The first in the list, so that its output is what a terminal shows.
          addresses.command = "exec scripts/stack addresses";
          postgres = server "postgres" { };
          settings = {
            command = "exec scripts/stack settings";
            depends_on.postgres = healthy;
          };
          jaeger = server "jaeger" { };
          # mail: begin
          mailpit = server "mailpit" { };
          # mail: end
          service = server "service" {
            settings = done;
            jaeger = started;
          };
          prometheus = server "prometheus" { };
          grafana = server "grafana" { prometheus = started; };
          # Started by hand: `scripts/stack start k6`, or F7 in the list.
          k6 = {
            command = "exec scripts/stack load";
            depends_on.service = healthy;
            disabled = true;
          };
        };
      };
    }
  ];
}
