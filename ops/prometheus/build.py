#!/usr/bin/env python3
"""Writes recording-rules.yml: the same ratios over every window that the burn-rate alerts look at.

ops/prometheus/build.py           write it
ops/prometheus/build.py --check   exit 1 when it is not current
"""

import pathlib
import sys

TARGET = pathlib.Path(__file__).with_name("recording-rules.yml")

# Probes and scrapes are not what users wait for.
USERS = 'path!~"/live|/ready|/health|/metrics"'
WINDOWS = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"]
# An answer that takes longer counts against the objective. It is a bound of the histogram.
SLOW = "0.5"


def rule(record, expr):
    return f"      - record: {record}\n        expr: |-\n          {expr}\n"


def group(name, rules):
    return f"  - name: {name}\n    rules:\n" + "".join(rules)


def errors(window):
    asked = f"sum by (job) (rate(request_count{{{USERS}}}[{window}]))"
    failed = f"sum by (job) (rate(error_count{{{USERS}}}[{window}]))"
    return rule(f"job:request_errors:ratio_rate{window}", f"({failed} or 0 * {asked}) / {asked}")


def slow(window):
    def answered(what):
        return f"sum by (job) (rate(request_latency_seconds_{what}[{window}]))"

    fast = answered(f'bucket{{{USERS},le="{SLOW}"}}')
    every = answered(f"count{{{USERS}}}")
    return rule(f"job:request_slow:ratio_rate{window}", f"1 - {fast} / {every}")


def quantile(q, name):
    buckets = "sum by (job, method, path, le) (rate(request_latency_seconds_bucket[5m]))"
    return rule(name, f"histogram_quantile({q}, {buckets})")


def text():
    routes = [
        rule(
            "job_method_path:request_count:rate5m",
            "sum by (job, method, path) (rate(request_count[5m]))",
        ),
        quantile(0.5, "job_method_path:request_latency_seconds:p50_5m"),
        quantile(0.95, "job_method_path:request_latency_seconds:p95_5m"),
        quantile(0.99, "job_method_path:request_latency_seconds:p99_5m"),
    ]
    queries = "sum by (job, query, le) (rate(db_query_duration_seconds_bucket[5m]))"
    database = [
        rule("job_query:db_query_duration_seconds:p95_5m", f"histogram_quantile(0.95, {queries})"),
        rule(
            "job_instance:db_pool_use:ratio",
            'sum by (job, instance) (db_pool_connections{state="in_use"})'
            ' / sum by (job, instance) (db_pool_connections{state="max"})',
        ),
    ]
    groups = [
        group("warp-skeleton-availability", [errors(window) for window in WINDOWS]),
        group("warp-skeleton-latency", [slow(window) for window in WINDOWS]),
        group("warp-skeleton-routes", routes),
        group("warp-skeleton-database", database),
    ]
    return "# Written by ops/prometheus/build.py.\n\ngroups:\n" + "\n".join(groups)


def main():
    if "--check" not in sys.argv:
        TARGET.write_text(text())
    elif TARGET.read_text() != text():
        sys.exit(f"{TARGET} is not current: run ops/prometheus/build.py")


main()
