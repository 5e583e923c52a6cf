"""Mail under fire: what `siege mail-delivery` and `siege mail` do. The SMTP server is one of their own, which fails on purpose."""

import asyncio
import collections
import json
import random
import re
import secrets
import signal
import statistics
import time

from service import Database, Service, ask, mann_whitney, program
from jobs import Worker, migrated

FROM = {"MAIL_FROM": "siege <no-reply@example.com>", "PUBLIC_URL": "https://example.com"}

# As many accounts as mails, each with an open request and the job that sends its link; who was to get what; and each time that
# a process lost a job, when.
PREPARE = """
INSERT INTO users (id, email, password_hash, role, is_active, created_at, updated_at)
SELECT gen_random_uuid(), 'user' || n || '@example.com', 'none', 'VIEWER', true, now(), now()
FROM generate_series(1, {total}) AS n;
INSERT INTO mail_requests (id, user_id, purpose, created_at, expires_at, mails)
SELECT gen_random_uuid(), id, 'verify', now(), now() + interval '1 day', 0 FROM users;
INSERT INTO jobs (id, kind, payload, run_at, priority, state, attempt, max_attempts, losses, claim, created_at)
SELECT
    gen_random_uuid(), 'recovery.send_link', jsonb_build_object('request', id),
    now() + random() * make_interval(secs => {spread}), 0, 'queued', 0, 20, 0, 0, now()
FROM mail_requests;
CREATE TABLE wanted AS
SELECT j.id AS job, u.email
FROM jobs AS j
JOIN mail_requests AS r ON r.id = (j.payload ->> 'request')::uuid
JOIN users AS u ON u.id = r.user_id;
CREATE TABLE losses (job uuid NOT NULL);
CREATE FUNCTION remember_loss() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO losses VALUES (OLD.id);
    RETURN NULL;
END $$;
CREATE TRIGGER remember_loss AFTER UPDATE ON jobs
FOR EACH ROW WHEN (NEW.losses > OLD.losses) EXECUTE FUNCTION remember_loss();
"""

# What the server does instead of an answer, and how often.
TROUBLE = {"busy": 0.06, "refuses": 0.06, "stalls": 0.01, "drops": 0.03, "stalls after DATA": 0.005, "drops after DATA": 0.03}


class Received:
    """A message that arrived whole, and whether the client was told so."""

    def __init__(self, recipient, content, confirmed):
        head = content.split("\r\n\r\n")[0].replace("\r\n ", " ")
        headers = dict(line.split(": ", 1) for line in head.split("\r\n") if ": " in line)
        self.recipient, self.confirmed = recipient, confirmed
        self.to, self.id = headers["To"], headers["Message-ID"].strip("<>").split("@")[0]
        self.token = re.search(r"#token=3D(\S+)|#token=(\S+)", content.replace("=\r\n", "")).group(0)


class SmtpServer:
    """Takes messages, or does one of the troubles, by chance."""

    def __init__(self, trouble=None):
        self.trouble = trouble or {}
        self.messages, self.counts = [], collections.Counter()

    async def start(self):
        self.server = await asyncio.start_server(self.converse, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    def happens(self, *kinds):
        """The one of these troubles that happens now, if one does."""
        kind = random.choices([*kinds, None], [*(self.trouble.get(kind, 0) for kind in kinds), 1 - sum(self.trouble.get(kind, 0) for kind in kinds)])[0]
        if kind:
            self.counts[kind] += 1
        return kind

    async def converse(self, reader, writer):
        try:
            await self.serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def serve(self, reader, writer):
        async def say(line):
            writer.write(line.encode() + b"\r\n")
            await writer.drain()

        await say("220 siege.example ESMTP")
        recipient = ""
        while True:
            line = (await reader.readuntil(b"\r\n")).decode().strip()
            word = line.split(" ")[0].upper()
            if word == "EHLO":
                await say("250 siege.example")
            elif word == "RCPT":
                recipient = line.split("<")[1].rstrip(">")
                kind = self.happens("busy", "stalls", "drops")
                if kind == "drops":
                    return
                if kind == "stalls":
                    await reader.read(-1)
                    return
                await say("451 4.3.2 busy" if kind else "250 2.1.5 ok")
            elif word == "DATA":
                await say("354 go on")
                content = (await reader.readuntil(b"\r\n.\r\n")).decode()
                kind = self.happens("refuses", "stalls after DATA", "drops after DATA")
                if kind == "refuses":
                    await say("452 4.3.1 no room")
                    continue
                self.messages.append(Received(recipient, content, kind is None))
                if kind == "drops after DATA":
                    return
                if kind == "stalls after DATA":
                    await reader.read(-1)
                    return
                await say("250 2.0.0 queued")
            elif word == "QUIT":
                await say("221 2.0.0 bye")
                return
            else:
                await say("250 2.0.0 ok")


def left(database):
    return int(database.psql("SELECT count(*) FROM jobs WHERE kind = 'recovery.send_link' AND state <> 'dead'"))


async def delivery(report, total=10_000):
    """So many mails, three replicas, one of which is killed all the time, and a server that fails one time in five."""
    database, server = Database(), await SmtpServer(TROUBLE).start()
    await asyncio.to_thread(migrated, program(), database)
    spread = max(20, total // 100)
    await asyncio.to_thread(database.psql, PREPARE.format(total=total, spread=spread))
    settings = {
        **FROM, "MAIL_URL": f"smtp://127.0.0.1:{server.port}", "MAIL_TIMEOUT_MS": "3000", "JOBS_LEASE_SECONDS": "6",
        "JOBS_POLL_MS": "1000", "JOBS_CONCURRENCY": "16", "JOBS_MAX_LOSSES": "1000000", "LOG_LEVEL": "warn",
        # Links depend on it.
        "JWT_SECRET_KEY": secrets.token_hex(32),
    }
    workers = [Worker(program(), database.url, **settings) for _ in range(3)]
    started, kills = time.monotonic(), 0
    while time.monotonic() - started < spread or (await asyncio.to_thread(left, database) > total // 20 and time.monotonic() - started < 10 * spread):
        await asyncio.sleep(random.uniform(0.5, 1.5))
        worker = random.choice(workers)
        await asyncio.to_thread(worker.kill)
        worker.start()
        kills += 1
    elapsed = time.monotonic() - started
    report.line("attacks", f"{kills} x kill -9 in {elapsed:.0f} s", ", ".join(f"{count} x {what}" for what, count in sorted(server.counts.items())), kills > 0)
    # What failed waits for its time, which nobody else has to.
    deadline = time.monotonic() + 120
    while await asyncio.to_thread(left, database) and time.monotonic() < deadline:
        await asyncio.to_thread(database.psql, "UPDATE jobs SET run_at = now() WHERE state = 'queued' AND kind = 'recovery.send_link'")
        await asyncio.sleep(1)
    await asyncio.to_thread(judge, report, database, server, total)
    for worker in workers:
        worker.process.send_signal(signal.SIGTERM)
    for worker in workers:
        await asyncio.to_thread(worker.process.wait, 60)
    await asyncio.to_thread(database.stop)


def judge(report, database, server, total):
    """Whether each mail is there, and why some are there twice."""
    wanted = dict(row.split("|") for row in database.psql("SELECT job, email FROM wanted").splitlines())
    losses = collections.Counter(database.psql("SELECT job FROM losses").split())
    arrived = collections.defaultdict(list)
    for message in server.messages:
        arrived[message.id].append(message)
    report.line("mails", f"{len(arrived.keys() & wanted.keys())} of {total}", "aim: each at least once", arrived.keys() == wanted.keys())
    stuck = database.psql("SELECT count(*) FROM jobs WHERE kind = 'recovery.send_link'")
    report.line("jobs that are stuck or dead", stuck, "aim: none", stuck == "0")
    strayed = sum(message.recipient != wanted.get(message.id) or message.to != message.recipient for message in server.messages)
    report.line("mails at somebody else's", str(strayed), "aim: none", strayed == 0)
    doubled = {job: messages for job, messages in arrived.items() if len(messages) > 1}
    by_server = by_kill = unexplained = 0
    for job, messages in doubled.items():
        surplus, unconfirmed = len(messages) - 1, sum(not message.confirmed for message in messages)
        by_server += min(surplus, unconfirmed)
        by_kill += min(max(surplus - unconfirmed, 0), losses[job])
        unexplained += max(surplus - unconfirmed - losses[job], 0)
    seen = f"{sum(len(messages) - 1 for messages in doubled.values())}"
    why = f"aim: each explained: {by_server} the server gave no answer, {by_kill} the process was killed before it had noted the answer, {unexplained} neither"
    report.line("mails more than once, with one Message-ID", seen, why, unexplained == 0 and by_server > 0)
    links = sum(len({message.token for message in messages}) > 1 for messages in doubled.values())
    report.line("of these with another link", str(links), "aim: none", links == 0)
    unknown = len(arrived.keys() - wanted.keys())
    report.line("Message-IDs that belong to no mail", str(unknown), "aim: none", unknown == 0)


PASSWORD = "a long enough password"
# What differs from one answer to the next whatever was asked.
OWN = re.compile(r"^(date|x-correlation-id): .*$", re.MULTILINE)


class Look:
    """What a stranger sees of answers, by what was asked: bytes, headers and time, one kind against the other in turn."""

    def __init__(self, report, service, tries):
        self.report, self.service, self.tries = report, service, tries

    async def settle(self):
        """Waits until nothing that was asked before is still being worked on. What is to be done later is done now."""
        sql = "UPDATE jobs SET run_at = least(run_at, now()) WHERE kind LIKE 'recovery.%' AND state = 'queued'"
        await asyncio.to_thread(self.service.database.psql, sql)
        sql = "SELECT count(*) FROM jobs WHERE kind LIKE 'recovery.%' AND state <> 'dead'"
        while await asyncio.to_thread(self.service.database.psql, sql) != "0":
            await asyncio.sleep(0.01)

    async def once(self, method, path, body, token=None):
        status, head, content, elapsed = await ask(self.service.port, method, path, body, token)
        head = OWN.sub(lambda found: found[1], head.replace("\r\n", "\n"))
        return (status, head, re.sub(rb'"correlation_id":"[^"]*"', b"", content)), elapsed

    async def compare(self, what, method, path, one, other, token=None, status=202):
        """`one` and `other` make the body of try number n."""
        seen, times, after = ({}, {}), ([], []), ([], [])
        for number in range(self.tries):
            for kind in random.sample((0, 1), 2):
                await self.settle()
                body = (one, other)[kind](number)
                answer, elapsed = await self.once(method, path, body, token)
                times[kind].append(elapsed)
                seen[kind][self.masked(answer, body)] = answer[0]
                # What the work that follows costs others who ask at that moment.
                started = time.perf_counter()
                for _ in range(5):
                    await ask(self.service.port, "GET", "/live")
                after[kind].append(time.perf_counter() - started)
        alike = seen[0].keys() == seen[1].keys() and len(seen[0]) == 1 and set(seen[0].values()) == {status}
        statuses = "/".join(str(status) for status in sorted({*seen[0].values(), *seen[1].values()}))
        self.report.line(f"{what}: status, headers, body", statuses, "aim: the same to the byte", alike)
        if not alike:
            print(*(next(iter(kind)) for kind in seen), sep="\n")
        tell(self.report, f"{what}: time", *times)
        tell(self.report, f"{what}: five requests right after", *after)

    @staticmethod
    def masked(answer, body):
        """An answer without what the question said."""
        status, head, content = answer
        for value in body.values() if body else ():
            content = content.replace(value.encode(), b"?")
            head = re.sub(r"content-length: \d+", "", head) if value.encode() in answer[2] else head
        return status, head, content


def tell(report, what, one, other):
    p = mann_whitney(one, other)
    medians = " / ".join(f"{statistics.median(times) * 1000:.2f}" for times in (one, other))
    report.line(what, f"{medians} ms", f"p = {p:.4f} (aim: above 0.001)", p > 0.001)


async def strangers(report, tries=200):
    """Whether somebody who reads no mail learns which addresses have an account."""
    # Messages are files: nothing but the service is measured.
    service = Service(REGISTRATION="neutral", REQUIRE_VERIFIED_EMAIL="on", JOBS_POLL_MS="200")
    service.command("user", "create", "--email", "first@example.com", stdin=PASSWORD + "\n")
    await asyncio.to_thread(service.database.psql, f"""
        INSERT INTO users (id, email, password_hash, role, is_active, created_at, updated_at, email_verified_at)
        SELECT gen_random_uuid(), kind || n || '@example.com', password_hash, 'VIEWER', true, now(), now(), CASE kind WHEN 'known' THEN now() END
        FROM users, generate_series(0, {tries - 1}) AS n, unnest(ARRAY['known', 'unproven']) AS kind
        WHERE email = 'first@example.com'""")
    look = Look(report, service, tries)
    password = {"password": PASSWORD}
    await look.compare("forgot: known / unknown", "POST", "/auth/password/forgot",
                       lambda n: {"email": f"known{n}@example.com"}, lambda n: {"email": f"nobody{n}@example.com"})
    await look.compare("neutral registration: known / unknown", "POST", "/auth/register",
                       lambda n: {"email": f"known{n}@example.com", **password}, lambda n: {"email": f"newly{n}@example.com", **password})
    wrong = {"password": "wrong" + PASSWORD}
    await look.compare("sign-in: wrong password / unknown", "POST", "/auth/token",
                       lambda n: {"email": f"known{n}@example.com", **wrong}, lambda n: {"email": f"noone{n}@example.com", **wrong}, status=401)
    await look.compare("sign-in: unproven address, wrong password / unknown", "POST", "/auth/token",
                       lambda n: {"email": f"unproven{n}@example.com", **wrong}, lambda n: {"email": f"noone{n}@example.com", **wrong}, status=401)
    _, _, content, _ = await ask(service.port, "POST", "/auth/token", {"email": "first@example.com", **password})
    token = json.loads(content)["access_token"]
    current = {"current_password": PASSWORD}
    await look.compare("new address: taken / free", "PATCH", "/auth/me",
                       lambda n: {"email": f"known{n}@example.com", **current}, lambda n: {"email": f"freed{n}@example.com", **current}, token)
    # It takes no address. The same against itself shows what chance does.
    await look.compare("control, verification not signed in: itself / itself", "POST", "/auth/email/verification",
                       lambda n: None, lambda n: None, status=401)
    service.stop()
