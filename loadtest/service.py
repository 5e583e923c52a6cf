"""The release build of this checkout over a throw-away PostgreSQL, for whatever measures it."""

import asyncio
import atexit
import contextlib
import json
import math
import os
import re
import resource
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
STARTED = []


def start(command, **options):
    """A process that ends with this one, whatever ends this one: a failure, Ctrl-C, or a signal that asks for it."""
    STARTED.append(subprocess.Popen(command, **options))
    return STARTED[-1]


@atexit.register
def end_all():
    for process in STARTED:
        process.terminate()
    for process in STARTED:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(40)
        process.kill()
        process.wait()


for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda received, _: sys.exit(128 + received))


def build(*arguments, profile="release"):
    """Builds what is measured: the program, and what else is named."""
    subprocess.run(["cargo", "build", "--quiet", "--profile", profile, "--locked", *arguments], cwd=ROOT, check=True)


def name():
    """The package's name, which a fork changes."""
    manifest = (ROOT / "Cargo.toml").read_text().split("[package]")[1]
    return manifest.split('name = "')[1].split('"')[0]


def program():
    """The built program."""
    return Path(os.environ.get("SERVICE_BINARY") or ROOT / "target/release" / name())


class Database:
    """A PostgreSQL that is gone when the measuring is."""

    def __init__(self):
        command = [ROOT / "scripts/postgres", "throwaway"]
        self.process = start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            raise SystemExit("PostgreSQL could not be started")

    def psql(self, sql, database=None):
        """Runs SQL and returns what it says."""
        url = self.url if database is None else self.of(database)
        # Everybody on this machine sees the command line.
        user, password, place = re.match(r"(\w+://\w+):(\w*)(@.*)", url).groups()
        command = ["psql", "--no-psqlrc", "-q", "-At", "-v", "ON_ERROR_STOP=1", user + place]
        env = {**os.environ, "PGPASSWORD": password}
        run = subprocess.run(command, input=sql, capture_output=True, text=True, env=env)
        if run.returncode:
            raise SystemExit(run.stderr)
        return run.stdout.strip()

    def create(self, database):
        """Another database on the same server."""
        self.psql(f"CREATE DATABASE {database}")
        return self.of(database)

    def of(self, database):
        return self.url.rsplit("/", 1)[0] + "/" + database

    def processor_time(self):
        """Seconds of processor time that the connections which are open now have cost so far."""
        pids = self.psql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'").split()
        return sum(processor_time(pid) for pid in pids)

    def stop(self):
        self.process.stdin.close()
        self.process.wait(60)


def processor_time(pid):
    """Seconds of processor time that a process has used so far; none when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return (int(fields[11]) + int(fields[12])) / TICKS


class Process:
    """Something that serves, and what it has used so far."""

    def __init__(self, command, env=None, cwd=None, log=subprocess.DEVNULL):
        self.process = start(command, env=env, cwd=cwd, stdout=log, stderr=log)

    def status(self, field):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
        return math.nan

    def memory(self):
        """Resident memory, in MiB."""
        return self.status("VmRSS")

    def peak(self):
        """The most resident memory so far, in MiB."""
        return self.status("VmHWM")

    def processor_time(self):
        """Seconds of processor time so far."""
        return processor_time(self.process.pid)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


class Service(Process):
    """The program, ready to serve, over this database or one of its own."""

    def __init__(self, database=None, url=None, binary=None, **settings):
        self.binary = binary or program()
        self.database = Database() if database is None and url is None else None
        self.folder = tempfile.TemporaryDirectory()
        self.env = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": url or (database or self.database).url,
            "JWT_SECRET_KEY": secrets.token_hex(32),
            "PORT": str(free_port()),
            "RATE_LIMIT": "off",
            "LOG_FORMAT": "json",
            **settings,
        }
        self.log = open(Path(self.folder.name) / "log", "w+")
        super().__init__([self.binary, "serve", "--migrate"], self.env, self.folder.name, self.log)
        self.port = int(self.env["PORT"])
        deadline = time.monotonic() + 60
        while not is_ready(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the service did not get ready:\n{Path(self.log.name).read_text()}")
            time.sleep(0.05)

    def command(self, *arguments, stdin="", **settings):
        """Runs another sub-command with the same settings, but for these, and returns what it says."""
        env = {**self.env, **settings}
        run = subprocess.run(
            [self.binary, *arguments], cwd=self.folder.name, env=env, input=stdin, capture_output=True, text=True
        )
        if run.returncode:
            raise SystemExit(run.stderr)
        return run.stdout.strip()

    def stop(self):
        super().stop()
        if self.database:
            self.database.stop()


def free_port():
    """A port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def is_ready(port):
    """Whether a service on this port says that it is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


async def ask(port, method, path, body=None, token=None, forwarded=None):
    """One request on a connection of its own: status, headers, body and seconds."""
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    content = json.dumps(body).encode() if body is not None else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(content)}\r\n"
    if body is not None:
        head += "Content-Type: application/json\r\n"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    if forwarded:
        head += f"X-Forwarded-For: {forwarded}\r\n"
    writer.write(head.encode() + b"\r\n" + content)
    answer = await reader.read(-1)
    elapsed = time.perf_counter() - started
    writer.close()
    if not answer:
        return 0, "", b"", elapsed
    head, _, content = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), head.decode("latin-1").lower(), content, elapsed


def need(*programs):
    """Says what is missing, and where Debian has it."""
    for wanted in programs:
        if subprocess.run(["sh", "-c", f"command -v {wanted}"], stdout=subprocess.DEVNULL).returncode:
            raise SystemExit(f"{wanted} is needed (Debian: apt-get install wrk curl postgresql valgrind)")


def raise_file_limit(wanted):
    """Lets this process open that many files, or says how many it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    if limit < wanted:
        print(f"only {limit} files may be open here: the load will be smaller", file=sys.stderr)


def p99(times):
    """The value that 99 of 100 do not pass."""
    return sorted(times)[math.ceil(len(times) * 0.99) - 1]


def mann_whitney(one, other):
    """The two-sided p-value that both come from one distribution, by the normal approximation."""
    ranked = sorted((value, group) for group, values in enumerate((one, other)) for value in values)
    ranks = sum(rank for rank, (_, group) in enumerate(ranked, 1) if group == 0)
    n, m = len(one), len(other)
    u = ranks - n * (n + 1) / 2
    z = (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
    return math.erfc(abs(z) / math.sqrt(2))


class Report:
    """Lines of what was measured, what was seen and what was aimed at."""

    def __init__(self):
        self.missed = False
        self.lines = []

    def line(self, what, seen, aim, met):
        self.missed |= not met
        text = f"{'ok  ' if met else 'MISS'} {what:58} {seen:>22}   {aim}"
        self.lines.append(text)
        print(text, flush=True)
