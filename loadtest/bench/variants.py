"""Variants of what answers a request, driven in turn, and the table that compares them."""

import math
import os
import platform
import re
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from service import ROOT, Process, start  # noqa: E402

CONNECTIONS = 32


def statement(name):
    """A statement of the program, as it stands in the source."""
    for source in (ROOT / "src/features").rglob("*.rs"):
        found = re.search(rf'Query::\w+\(\s+"{name}",\s+"([^"]+)"', source.read_text())
        if found:
            return found[1].strip()
    raise SystemExit(f"there is no statement {name}")


class Bare(Process):
    """The server of loadtest/bench/bare."""

    def __init__(self, *arguments, **env):
        command = [ROOT / "target/release/bare", *arguments]
        self.process = start(command, env={"PATH": os.environ["PATH"], **env}, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())


class Served:
    """A variant that wrk asks."""

    def __init__(self, name, process, path, token=None, header=None):
        self.name, self.process = name, process
        self.url = f"http://127.0.0.1:{process.port}{path}"
        header = f"Authorization: Bearer {token}" if token else header
        self.headers = ["-H", header] if header else []
        self.rounds = []

    def measure(self, seconds):
        before = self.process.processor_time()
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", *self.headers, self.url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        spent = self.process.processor_time() - before
        if "Non-2xx" in said or "Socket errors" in said:
            raise SystemExit(f"{self.name}: {said}")
        count = int(re.search(r"(\d+) requests in", said)[1])
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
        slowest, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", said).groups()
        slowest = float(slowest) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
        self.rounds.append((rate, slowest, spent / count * 1e6))

    def memory(self):
        return self.process.peak()


class Table:
    """What was measured of one path, and how it compares with the variant of this name.

    Ratios are taken within each round, whose variants ran one after the other, before their median is.
    """

    def __init__(self, title, variants, base="bare hyper"):
        self.title, self.variants, self.base = title, variants, base

    def variant(self, name):
        return next(variant for variant in self.variants if variant.name == name)

    def medians(self, variant):
        return [statistics.median(column) for column in zip(*variant.rounds)]

    def ratio(self, name):
        """Requests a second and slowest of a hundred, as parts of the base's."""
        pairs = list(zip(self.variant(name).rounds, self.variant(self.base).rounds))
        return tuple(statistics.median(own[i] / base[i] for own, base in pairs) for i in (0, 1))

    def measure(self, rounds, seconds):
        """Lets all take turns, after a first time that does not count."""
        for number in range(rounds + 1):
            for variant in self.variants:
                variant.measure(seconds if number else 1)
                if number:
                    print(f"round {number}: {self.title}: {variant.name}: {variant.rounds[-1][0]:.0f}/s", file=sys.stderr)
                else:
                    variant.rounds.clear()

    def markdown(self):
        lines = [
            f"## {self.title}",
            "",
            f"| variant | requests/s | of {self.base} | p99 ms | of {self.base} | processor µs/request | peak MiB |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for variant in self.variants:
            (rate, slowest, cost), (part, times) = self.medians(variant), self.ratio(variant.name)
            cells = [variant.name, f"{rate:.0f}", f"{part:.2f}", f"{slowest:.2f}", f"{times:.2f}"]
            cells += ["-" if math.isnan(value) else f"{value:.1f}" for value in (cost, variant.memory())]
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join([*lines, ""])


def machine():
    """What it was measured on."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1]) / 1024 / 1024
    versions = [subprocess.run(command, capture_output=True, text=True).stdout.split("\n")[0] for command in (
        ["rustc", "--version"], ["pgbench", "--version"], ["git", "-C", ROOT, "describe", "--always", "--dirty"],
    )]
    return (
        f"{model[1] if model else platform.machine()}, {os.cpu_count()} processors, {memory:.0f} GiB, "
        f"Linux {platform.release().split('-')[0]}; {versions[0]}; {versions[1]}; revision {versions[2]}"
    )
