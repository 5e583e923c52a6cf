"""Jobs under fire: what `siege jobs` does, and what it and `bench/jobs` need to enqueue and to count.

The program is examples/jobs_program.rs: the real `serve` and `worker`, with kinds of job that leave rows in a table.
"""

import asyncio
import collections
import json
import random
import re
import secrets
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from service import ROOT, Database, Process, build, free_port

EFFECTS = """
CREATE TABLE effects (
    key text NOT NULL, job uuid NOT NULL, attempt int NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""

# Every change of a job, written by the transaction that made it.
HISTORY = """
CREATE TABLE history (
    job uuid NOT NULL, was text NOT NULL, became text, losses int, attempt int, lease_until timestamptz,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO history VALUES (OLD.id, OLD.state, NULL, OLD.losses, OLD.attempt, OLD.lease_until);
    ELSIF OLD.state <> NEW.state THEN
        INSERT INTO history VALUES (OLD.id, OLD.state, NEW.state, NEW.losses, NEW.attempt, OLD.lease_until);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER remember AFTER UPDATE OR DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION remember();
"""


def jobs_program(profile="release"):
    """Builds the program with the kinds of tests."""
    build("--example", "jobs_program", profile=profile)
    return ROOT / "target" / profile / "examples/jobs_program"


# Newer ones sort behind older ones, as those of the program do: random ones would have each write of an index miss the cache.
UUID_V7 = """(
    lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
    || '7' || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15)
)::uuid"""


def enqueue(kind, count, key="'k' || n", run_at="now()", priority=1, source=None):
    """SQL that adds so many jobs, as the program itself adds one."""
    source = source or f"generate_series(1, {count}) AS n"
    return f"""
INSERT INTO jobs (
    id, kind, payload, run_at, priority, state, attempt, max_attempts, losses, claim, created_at
)
SELECT {UUID_V7}, '{kind}', json_build_object('key', {key}), {run_at}, {priority}, 'queued', 0, 10, 0, 0, now()
FROM {source};
"""


class Worker(Process):
    """A process that runs jobs and nothing else."""

    def __init__(self, program, url, command="worker", **settings):
        self.folder = tempfile.TemporaryDirectory()
        self.port = free_port()
        port = "PORT" if command == "serve" else "ADMIN_PORT"
        self.env = {
            "PATH": "/usr/bin:/bin",
            "DATABASE_URL": url,
            "JWT_SECRET_KEY": secrets.token_hex(32),
            port: str(self.port),
            "RATE_LIMIT": "off",
            "LOG_FORMAT": "json",
            **settings,
        }
        self.log = open(Path(self.folder.name) / "log", "w+")
        self.program, self.arguments = program, [command]
        self.start()

    def start(self):
        super().__init__([self.program, *self.arguments], self.env, self.folder.name, self.log)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def ready(self):
        """Waits until it runs jobs."""
        for _ in range(600):
            if self.metrics() is not None:
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"the worker did not start:\n{Path(self.log.name).read_text()}")

    def metrics(self):
        """Samples by their name with labels; nothing while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as reply:
                text = reply.read().decode()
        except OSError:
            return None
        return {name: float(value) for name, value in re.findall(r"^([^#\s]\S*(?:{[^}]*})?) (\S+)$", text, re.MULTILINE)}

    def lines(self):
        """What it logged."""
        for line in Path(self.log.name).read_text().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                # A kill in the middle of a line.
                continue


def migrated(program, database):
    """The tables, and the two that only observe."""
    env = {"PATH": "/usr/bin:/bin", "DATABASE_URL": database.url, "JWT_SECRET_KEY": secrets.token_hex(32)}
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run([program, "migrate", "up"], env=env, cwd=folder, capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(run.stderr)
    database.psql(EFFECTS)


async def siege(report, seconds=120):
    """10 000 jobs, three replicas, 200 times kill -9 or SIGSTOP, PostgreSQL restarted twice."""
    total, slow, lease, poll = 10_000, 1_000, 6, 1
    program, database = jobs_program(), Database()
    migrated(program, database)
    database.psql(HISTORY)
    spread = f"now() + random() * make_interval(secs => {seconds})"
    database.psql(enqueue("test.effect", total - slow, "'quick ' || n", spread))
    database.psql(enqueue("test.slow", slow, "'slow ' || n", spread))
    settings = {
        "JOBS_LEASE_SECONDS": str(lease), "JOBS_POLL_MS": str(poll * 1000), "JOBS_CONCURRENCY": "16",
        "JOBS_MAX_LOSSES": "1000000",
    }
    workers = [Worker(program, database.url, **settings) for _ in range(3)]
    stopped, counts, outages, up = {}, collections.Counter(), [], Up(workers)
    started = time.time()
    restarts = [started + seconds / 3, started + seconds * 2 / 3]
    for number in range(200):
        await asyncio.sleep(max(0, started + seconds / 200 * number - time.time()))
        now = time.time()
        for worker, until in list(stopped.items()):
            if until < now:
                worker.process.send_signal(signal.SIGCONT)
                up.begins(worker)
                del stopped[worker]
        if restarts and restarts[0] < now:
            restarts.pop(0)
            begun = time.time()
            for word in ("stop", "start"):
                database.process.stdin.write(word + "\n")
                database.process.stdin.flush()
                await asyncio.sleep(2)
            outages.append((begun, time.time()))
        # One replica at least is up, or nobody could recover anything.
        worker = random.choice([worker for worker in workers if worker not in stopped] if len(stopped) == 2 else workers)
        up.ends(worker)
        if random.random() < 0.6 or worker in stopped or len(stopped) == 2:
            worker.kill()
            stopped.pop(worker, None)
            worker.start()
            up.begins(worker)
            counts["kill -9"] += 1
        else:
            worker.process.send_signal(signal.SIGSTOP)
            stopped[worker] = now + random.uniform(0.2, 2 * lease)
            counts["SIGSTOP"] += 1
    for worker in stopped:
        worker.process.send_signal(signal.SIGCONT)
        up.begins(worker)
    deadline = time.time() + 120
    while time.time() < deadline and database.psql("SELECT count(*) FROM jobs WHERE kind LIKE 'test.%' AND state <> 'dead' AND kind <> 'test.tick'") != "0":
        await asyncio.sleep(0.5)
    attacks = ", ".join(f"{count} x {what}" for what, count in sorted(counts.items()))
    report.line("attacks", attacks, f"and {len(outages)} restarts of PostgreSQL", sum(counts.values()) == 200)
    for worker in workers:
        up.ends(worker)
    judge(report, database, total, slow, poll, lease, outages, up)
    for worker in workers:
        worker.stop()
    database.stop()


class Up:
    """When each replica was up and left alone, from a second after it was started or went on."""

    def __init__(self, workers):
        self.since = {worker: time.time() + 1 for worker in workers}
        self.spans = []

    def begins(self, worker):
        self.since[worker] = time.time() + 1

    def ends(self, worker):
        begun = self.since.pop(worker, None)
        if begun is not None and begun < time.time():
            self.spans.append((begun, time.time()))

    def within(self, begin, end):
        """How much of this time at least one was up."""
        covered, reached = 0, begin
        for begun, ended in sorted(self.spans):
            covered += max(0, min(ended, end) - max(begun, reached))
            reached = max(reached, min(ended, end))
        return covered


def judge(report, database, total, slow, poll, lease, outages, up):
    """Whether every effect is there, and why some are there twice."""
    ours = "(key LIKE 'quick %' OR key LIKE 'slow %' OR key LIKE 'end of slow %')"
    present = int(database.psql(f"SELECT count(DISTINCT key) FROM effects WHERE {ours}"))
    wanted = total + slow
    report.line("effects", f"{present} of {wanted}", "aim: each at least once", present == wanted)
    left = database.psql("SELECT count(*) FROM jobs WHERE kind IN ('test.effect', 'test.slow')")
    report.line("jobs that are stuck or dead", left, "aim: none", left == "0")
    # A second row of a key is explained when the job was taken up again: its lease expired, it failed, or it was released.
    doubled, unexplained = database.psql(f"""
        WITH doubled AS (
            SELECT job, key, count(*) - 1 AS surplus FROM effects WHERE {ours} GROUP BY job, key HAVING count(*) > 1
        ), again AS (
            SELECT job, count(*) AS times FROM history WHERE was = 'running' AND became = 'queued' GROUP BY job
        )
        SELECT coalesce(sum(surplus), 0), coalesce(sum(surplus) FILTER (WHERE surplus > coalesce(times, 0)), 0)
        FROM doubled LEFT JOIN again USING (job)""").split("|")
    report.line("effects more than once", doubled, f"aim: each explained; {unexplained} are not", unexplained == "0")
    rows = database.psql("""
        SELECT extract(epoch FROM h.at), extract(epoch FROM h.lease_until)
        FROM history AS h
        WHERE h.was = 'running' AND h.became = 'queued' AND h.at >= h.lease_until""").splitlines()
    late, in_outage = [], 0
    for row in rows:
        at, expired = map(float, row.split("|"))
        # After an outage the others' heartbeats get their time first.
        if any(begun <= at <= ended + lease for begun, ended in outages):
            in_outage += 1
        else:
            late.append(up.within(expired, at))
    # The next poll, which comes within 1.2 times its interval, after the first heartbeat.
    aim = poll * 1.2 + lease / 3
    slowest = max(late, default=0)
    seen = f"{len(late)}: {statistics.median(late or [0]):.2f} / {slowest:.2f} s"
    report.line("leases that expired, until put back: median / most", seen, f"aim: at most {aim:.1f} s with a replica up; {in_outage} more around the restarts", 0 < len(late) and slowest <= aim)
