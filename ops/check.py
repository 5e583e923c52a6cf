#!/usr/bin/env python3
"""What scripts/check-observability runs beside promtool.

check.py files            dashboards are whole, alerts have runbooks, runbooks have alerts
check.py live PROGRAM     every expression returns data from a real Prometheus, a sign-in's
                          trace is found in a real Jaeger (when one is on PATH), and the
                          database alert fires when PostgreSQL stops

Nothing but Python's own library. Everything listens on loopback and ends with this process.
"""

import collections
import contextlib
import http.client
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
OPS = ROOT / "ops"
RUNBOOKS = ROOT / "docs" / "runbooks"
LOAD_SECONDS = 60
ALERT_SECONDS = 180


def dashboards():
    for path in sorted((OPS / "grafana" / "dashboards").glob("*.json")):
        yield path.name, json.loads(path.read_text())


def alert_files():
    text = "".join(path.read_text() for path in sorted((OPS / "prometheus").glob("*alert-rules.yml")))
    names = re.findall(r"- alert: (\w+)", text)
    links = re.findall(r"runbook_url: \S+/docs/runbooks/(\w+)\.md", text)
    return names, links


def check_files():
    faults = []
    uids = set(re.findall(r"uid: (\w+)", (OPS / "grafana/provisioning/datasources/datasources.yml").read_text()))
    ids = collections.Counter()
    for name, dashboard in dashboards():
        ids[dashboard["uid"]] += 1
        panels = dashboard["panels"]
        numbers = [panel["id"] for panel in panels]
        if len(set(numbers)) != len(numbers):
            faults.append(f"{name}: two panels share an id")
        for panel in panels:
            for part in [panel, *panel["targets"]]:
                if part["datasource"]["uid"] not in uids:
                    faults.append(f"{name}: {panel['title']}: no such data source")
            if not panel["targets"] or any(not target["expr"] for target in panel["targets"]):
                faults.append(f"{name}: {panel['title']}: nothing to show")
            place = panel["gridPos"]
            if place["x"] + place["w"] > 24:
                faults.append(f"{name}: {panel['title']}: beyond the edge")
    faults += [f"two dashboards have the uid {uid}" for uid, count in ids.items() if count > 1]
    names, links = alert_files()
    if names != links:
        faults.append("each alert needs a runbook of its own name")
    written = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    faults += [f"no runbook for {name}" for name in set(names) - written]
    faults += [f"the runbook {name} belongs to no alert" for name in written - set(names)]
    if faults:
        sys.exit("\n".join(faults))
    print(f"{sum(ids.values())} dashboards and {len(names)} alerts are whole")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def eventually(what, look, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            if found := look():
                return found
        time.sleep(0.5)
    sys.exit(f"never happened within {seconds} s: {what}")


def answers(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as reply:
        return reply.status == 200


class Client:
    """One user's errands, over and over."""

    def __init__(self, ports, number):
        self.ports, self.number = ports, number
        self.account = {"email": f"load{number}@example.com", "password": "Correct-horse-1"}
        self.turn = 0
        self.used = collections.deque()

    def ask(self, method, path, body=None, token=None):
        self.turn += 1
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[self.turn % len(self.ports)], timeout=10)
        headers = {"Content-Type": "application/json"} if body else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        with contextlib.closing(connection):
            connection.request(method, path, json.dumps(body) if body else None, headers)
            reply = connection.getresponse()
            text = reply.read()
        return reply.status, json.loads(text) if text.startswith(b"{") else {}

    def run(self, stop):
        while not stop.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException, KeyError):
                self.errands()
            stop.wait(0.05)

    def errands(self):
        self.ask("POST", "/auth/register", self.account)
        self.ask("POST", "/auth/token", {**self.account, "password": "wrong-password"})
        _, tokens = self.ask("POST", "/auth/token", self.account)
        for path in ("/auth/me", "/auth/sessions", "/users", "/nothing", "/ready", "/health"):
            self.ask("GET", path, token=tokens.get("access_token"))
        refresh = {"refresh_token": tokens["refresh_token"]}
        for _ in range(2):
            self.ask("POST", "/auth/refresh", refresh)
        # Again when its successor is not kept any more: a theft, for all the service knows.
        self.used.append((time.monotonic() + 11, refresh))
        while self.used and self.used[0][0] < time.monotonic():
            self.ask("POST", "/auth/refresh", self.used.popleft()[1])


# jobs: begin
def run_schedules(url, stop):
    """Has every schedule of jobs due again and again, so that jobs run while it is looked."""
    place = urllib.parse.urlsplit(url)
    bare = place._replace(netloc=place.netloc.replace(f":{place.password}@", "@")).geturl()
    command = ["psql", "--no-psqlrc", "-q", "-c", "UPDATE job_schedules SET next_run_at = now()", bare]
    while not stop.wait(5):
        subprocess.run(command, env={**os.environ, "PGPASSWORD": place.password}, stderr=subprocess.DEVNULL, check=False)
# jobs: end


class Prometheus:
    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}/api/v1"

    def query(self, expr):
        body = urllib.parse.urlencode({"query": expr}).encode()
        with urllib.request.urlopen(f"{self.base}/query", body, timeout=10) as reply:
            return json.load(reply)["data"]["result"]

    def rules(self):
        with urllib.request.urlopen(f"{self.base}/rules", timeout=10) as reply:
            return [rule for group in json.load(reply)["data"]["groups"] for rule in group["rules"]]

    def has(self, expr):
        return any(sample["value"][1] != "NaN" for sample in self.query(expr))


class Jaeger:
    """The one of development, asked as Grafana's data source asks it. Held against 2.13."""

    def __init__(self, spawn, program, folder):
        self.port, grpc, self.otlp = free_port(), free_port(), free_port()
        ports = {"JAEGER_PORT": str(self.port), "JAEGER_GRPC_PORT": str(grpc), "OTLP_PORT": str(self.otlp)}
        log = open(f"{folder}/jaeger.log", "w")
        # As scripts/jaeger starts it.
        settings = {**os.environ, **ports, "OTEL_TRACES_SAMPLER": "always_off"}
        spawn(program, "--config", f"file:{OPS}/jaeger/dev.yml", env=settings, stdout=log, stderr=log)
        eventually("Jaeger", lambda: answers(self.port, "/"), 60)

    def ask(self, path, **query):
        url = f"http://127.0.0.1:{self.port}/api/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as reply:
            return json.load(reply)["data"]

    def has_sign_in(self):
        """Whether a trace of a sign-in is there, down to the statement that opens its session."""
        found = self.ask("traces", service="warp-skeleton", operation="POST /auth/token", limit=50)
        names = [{span["operationName"] for span in trace["spans"]} for trace in found]
        return any({"password_hash", "sessions_open", "commit"} <= each for each in names)


def every_expression(prometheus):
    """What has to return data: dashboards as they are, alerts with each comparison made a value."""
    for name, dashboard in dashboards():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                expr = target["expr"]
                for variable, value in {
                    "$__rate_interval": "1m",
                    "$job": "warp-skeleton",
                    "$instance": ".*",
                    "$path": ".*",
                }.items():
                    expr = expr.replace(variable, value)
                yield f"{name}: {panel['title']}", expr
    for rule in prometheus.rules():
        if rule["type"] == "recording":
            yield f"rule {rule['name']}", rule["name"]
        else:
            yield f"alert {rule['name']}", re.sub(r"(?<=\s)(==|>)(?=\s)", r"\1 bool", rule["query"])


def configuration(ports, folder):
    text = (OPS / "prometheus" / "prometheus.yml").read_text()
    targets = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    text = text.replace('"127.0.0.1:8000"', targets)
    text = re.sub(r"(scrape|evaluation)_interval: \S+", r"\1_interval: 1s", text)
    text = re.sub(r"- (\S+-rules\.yml)", lambda found: f"- {OPS}/prometheus/{found[1]}", text)
    path = pathlib.Path(folder) / "prometheus.yml"
    path.write_text(text)
    return path


def check_live(program):
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())

        def spawn(*command, **more):
            child = subprocess.Popen(command, **{"stdout": subprocess.PIPE, "text": True, **more})

            def end():
                child.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(20)
                child.kill()
                child.wait()

            stack.callback(end)
            return child

        database = spawn(str(ROOT / "scripts/postgres"), "throwaway", stdin=subprocess.PIPE)
        url = database.stdout.readline().strip()
        program_of_jaeger = shutil.which("jaeger")
        jaeger = Jaeger(spawn, program_of_jaeger, folder) if program_of_jaeger else None
        exporter = {"OTLP_ENDPOINT": f"http://127.0.0.1:{jaeger.otlp}"} if jaeger else {}
        ports = [free_port(), free_port()]
        for port in ports:
            settings = {
                "PATH": os.environ["PATH"],
                "APP_ENV": "test",
                "DATABASE_URL": url,
                "JWT_SECRET_KEY": secrets.token_hex(32),
                "PORT": str(port),
                "SCRYPT_LOG_N": "10",
                "SCRYPT_P": "1",
                # mail: begin
                "MAIL_FOLDER": f"{folder}/mail",
                # mail: end
                # One account has a limit that the load goes beyond; the load's one address has none.
                "RATE_LIMIT_ACCOUNT_PER_MINUTE": "120",
                "RATE_LIMIT_AUTH_PER_MINUTE": "1000000",
                "RATE_LIMIT_AUTH_BURST": "1000000",
                "RATE_LIMIT_API_PER_MINUTE": "1000000",
                "RATE_LIMIT_API_BURST": "1000000",
                **exporter,
            }
            log = stack.enter_context(open(f"{folder}/{port}.log", "w"))
            spawn(program, "serve", "--migrate", env=settings, stdout=log, cwd=folder)
            eventually("a replica", lambda: answers(port, "/ready"), 60)

        own = free_port()
        spawn(
            "prometheus",
            f"--config.file={configuration(ports, folder)}",
            f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{own}",
            "--log.level=error",
        )
        prometheus = Prometheus(own)
        eventually("Prometheus", lambda: answers(own, "/-/ready"), 60)

        stop = threading.Event()
        stack.callback(stop.set)
        for number in range(8):
            threading.Thread(target=Client(ports, number).run, args=(stop,), daemon=True).start()
        threading.Thread(target=run_schedules, args=(url, stop), daemon=True).start()
        print(f"two replicas under load for {LOAD_SECONDS} s")
        time.sleep(LOAD_SECONDS)

        missing = {}
        expressions = list(every_expression(prometheus))
        for name, expr in expressions:
            if not prometheus.has(expr):
                missing[name, expr] = None
        print(f"{len(expressions)} expressions, {len(expressions) - len(missing)} return data while all is well")

        if jaeger:
            eventually("the trace of a sign-in in Jaeger", jaeger.has_sign_in, 30)
            services = jaeger.ask("services")
            if services != ["warp-skeleton"]:
                sys.exit(f"Jaeger has traces of {services}")
            print("the trace of a sign-in is in Jaeger")
        else:
            print("SKIPPED: the trace of a sign-in in a real Jaeger: jaeger is not installed")

        database.stdin.close()
        stopped = time.monotonic()
        print("PostgreSQL is stopped")
        firing = 'ALERTS{alertname="DatabaseDown",alertstate="firing"}'
        eventually("the alert DatabaseDown", lambda: len(prometheus.query(firing)) == 2, ALERT_SECONDS)
        print(f"DatabaseDown fires for both replicas after {time.monotonic() - stopped:.0f} s")
        time.sleep(5)
        missing = [(name, expr) for name, expr in missing if not prometheus.has(expr)]
        for name, expr in missing:
            print(f"no data: {name}: {expr}", file=sys.stderr)
        if missing:
            sys.exit(1)
        print("every expression of every dashboard and rule returns data")


if __name__ == "__main__":
    # As Ctrl-C does: everything that was started ends before this process.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    if sys.argv[1:] == ["files"]:
        check_files()
    else:
        check_live(sys.argv[2])
