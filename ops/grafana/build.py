#!/usr/bin/env python3
"""Writes the dashboards: a row of panels is a line here, and forty lines of JSON in Grafana's own format.

ops/grafana/build.py           write dashboards/*.json
ops/grafana/build.py --check   exit 1 when they are not current
"""

import json
import pathlib
import sys

FOLDER = pathlib.Path(__file__).with_name("dashboards")
PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}
JAEGER = {"type": "jaeger", "uid": "jaeger"}

# The variables that every dashboard has.
WHERE = 'job="$job",instance=~"$instance"'
ROUTE = WHERE + ',path=~"$path"'
RATE = "[$__rate_interval]"


def rate(series, by, labels=WHERE):
    return f"sum by ({by}) (rate({series}{{{labels}}}{RATE}))"


def quantile(q, histogram, by="", labels=WHERE):
    grouping = f"{by}, le" if by else "le"
    return f"histogram_quantile({q}, {rate(histogram + '_bucket', grouping, labels)})"


def quantiles(histogram, by="", labels=WHERE, legend=""):
    names = {0.5: "p50", 0.95: "p95", 0.99: "p99"}
    return [(quantile(q, histogram, by, labels), f"{legend}{name}") for q, name in names.items()]


# Each dashboard: its title, what it answers, and rows of panels (title, unit, expressions with legends).
DASHBOARDS = {
    "overview": {
        "title": "Overview",
        "about": "Rate, errors and duration by route: what is slow, what is failing, since when.",
        "rows": [
            [
                ("Requests", "reqps", [(rate("request_count", "path", ROUTE), "{{path}}")]),
                (
                    "Failures of ours (5xx)",
                    "reqps",
                    [(rate("error_count", "path, status_code", ROUTE), "{{path}} {{status_code}}")],
                ),
            ],
            [
                (
                    "Share of failures",
                    "percentunit",
                    [
                        ('job:request_errors:ratio_rate5m{job="$job"}', "5 minutes"),
                        ('job:request_errors:ratio_rate1h{job="$job"}', "1 hour"),
                    ],
                ),
                (
                    "Share slower than half a second",
                    "percentunit",
                    [
                        ('job:request_slow:ratio_rate5m{job="$job"}', "5 minutes"),
                        ('job:request_slow:ratio_rate1h{job="$job"}', "1 hour"),
                    ],
                ),
            ],
            [
                ("Duration of all routes", "s", quantiles("request_latency_seconds", labels=ROUTE)),
                (
                    "95th percentile by route",
                    "s",
                    [(quantile(0.95, "request_latency_seconds", "method, path", ROUTE), "{{method}} {{path}}")],
                ),
            ],
            [
                (
                    "Answers by status",
                    "reqps",
                    [(rate("request_count", "status_code", ROUTE), "{{status_code}}")],
                ),
                (
                    "In flight",
                    "short",
                    [(f"sum by (instance) (requests_in_flight{{{WHERE}}})", "{{instance}}")],
                ),
            ],
            [
                (
                    "Connections refused, cut or lost",
                    "cps",
                    [(rate("connection_errors_total", "reason"), "{{reason}}")],
                ),
            ],
            [
                (
                    "What is running",
                    "short",
                    [(f"count by (version, revision) (build_info{{{WHERE}}})", "{{version}} {{revision}}")],
                ),
                ("Alerts", "short", [('count by (alertname) (ALERTS{alertstate="firing"})', "{{alertname}}")]),
            ],
        ],
    },
    "database": {
        "title": "Database",
        "about": "Statements, failures and the pool.",
        "rows": [
            [
                (
                    "Statements",
                    "ops",
                    [(rate("db_query_duration_seconds_count", "query"), "{{query}}")],
                ),
                (
                    "Failures",
                    "ops",
                    [(rate("db_errors_total", "operation, query"), "{{operation}} {{query}}")],
                ),
            ],
            [
                (
                    "95th percentile by statement",
                    "s",
                    [(quantile(0.95, "db_query_duration_seconds", "query"), "{{query}}")],
                ),
                (
                    "Time spent by statement",
                    "short",
                    [(rate("db_query_duration_seconds_sum", "query"), "{{query}}")],
                ),
            ],
            [
                (
                    "Connections of the pool",
                    "short",
                    [(f"sum by (instance, state) (db_pool_connections{{{WHERE}}})", "{{instance}} {{state}}")],
                ),
                ("Waiting for a connection", "s", quantiles("db_pool_wait_seconds")),
            ],
            [
                (
                    "Share of the pool in use",
                    "percentunit",
                    [(f"job_instance:db_pool_use:ratio{{{WHERE}}}", "{{instance}}")],
                ),
            ],
        ],
    },
    "auth": {
        "title": "Auth",
        "about": "Sign-ins, refreshes, refusals, and what hashing passwords costs.",
        "rows": [
            [
                (
                    "Events",
                    "ops",
                    [(rate("auth_events_total", "event, outcome"), "{{event}} {{outcome}}")],
                ),
                (
                    "Refused sign-ins",
                    "ops",
                    [(rate("auth_events_total", "instance", WHERE + ',event="sign_in",outcome="refused"'), "{{instance}}")],
                ),
            ],
            [
                (
                    "Refresh tokens used twice",
                    "short",
                    [(f'sum by (job) (increase(auth_events_total{{{WHERE},event="refresh",outcome="reused"}}[10m]))', "in 10 minutes")],
                ),
                ("Refused for their rate", "reqps", [(rate("rate_limited_total", "class"), "{{class}}")]),
                (
                    "Answers 401, 403 and 429",
                    "reqps",
                    [(rate("request_count", "path, status_code", WHERE + ',status_code=~"401|403|429"'), "{{path}} {{status_code}}")],
                ),
            ],
            [
                ("Duration of a hash", "s", quantiles("password_hash_seconds")),
                (
                    "Waiting to be hashed",
                    "short",
                    [(f"sum by (instance) (password_hash_queue{{{WHERE}}})", "{{instance}}")],
                ),
            ],
        ],
    },
    # jobs: begin
    "jobs": {
        "title": "Jobs",
        "about": "Background jobs: what waits, what fails, how long they take.",
        "rows": [
            [
                ("Runs", "ops", [(rate("jobs_total", "kind, outcome"), "{{kind}} {{outcome}}")]),
                (
                    "Jobs in the table",
                    "short",
                    [(f"max by (state) (jobs_pending{{{WHERE}}})", "{{state}}")],
                ),
                (
                    "Due for the longest",
                    "s",
                    [(f"max(jobs_oldest_due_seconds{{{WHERE}}})", "oldest job")],
                ),
            ],
            [
                (
                    "95th percentile of a run",
                    "s",
                    [(quantile(0.95, "job_duration_seconds", "kind"), "{{kind}}")],
                ),
                (
                    "95th percentile of the wait",
                    "s",
                    [(quantile(0.95, "job_wait_seconds", "kind"), "{{kind}}")],
                ),
                (
                    "Died in the last hour",
                    "short",
                    [(f'sum by (kind) (increase(jobs_total{{{WHERE},outcome="dead"}}[1h]))', "{{kind}}")],
                ),
            ],
        ],
    },
    # jobs: end
    # mail: begin
    "mail": {
        "title": "Mail",
        "about": "Messages that were sent, and those that were not.",
        "rows": [
            [
                ("Attempts", "ops", [(rate("mail_total", "template, outcome"), "{{template}} {{outcome}}")]),
                (
                    "Not sent in the last hour",
                    "short",
                    [
                        (
                            f'sum by (template, outcome) (increase(mail_total{{{WHERE},outcome!="sent"}}[1h]))',
                            "{{template}} {{outcome}}",
                        )
                    ],
                ),
                (
                    "Slower than a second",
                    "ops",
                    [
                        (
                            f"sum(rate(mail_send_seconds_count{{{WHERE}}}[$__rate_interval]))"
                            f' - sum(rate(mail_send_seconds_bucket{{{WHERE},le="1"}}[$__rate_interval]))',
                            "attempts",
                        )
                    ],
                ),
            ],
        ],
    },
    # mail: end
    "runtime": {
        "title": "Runtime",
        "about": "The process and its threads.",
        "rows": [
            [
                ("Processor", "short", [(rate("process_cpu_seconds_total", "instance"), "{{instance}} cores")]),
                (
                    "Memory",
                    "bytes",
                    [(f"process_resident_memory_bytes{{{WHERE}}}", "{{instance}}")],
                ),
            ],
            [
                (
                    "Worker threads, share busy",
                    "percentunit",
                    [(rate("tokio_worker_busy_seconds_total", "instance, worker"), "{{instance}} {{worker}}")],
                ),
                (
                    "Tasks",
                    "short",
                    [
                        (f"tokio_alive_tasks{{{WHERE}}}", "{{instance}} alive"),
                        (f"tokio_global_queue_depth{{{WHERE}}}", "{{instance}} queued"),
                    ],
                ),
            ],
            [
                (
                    "Parks of worker threads",
                    "ops",
                    [(rate("tokio_worker_parks_total", "instance"), "{{instance}}")],
                ),
                (
                    "Open files, share of the limit",
                    "percentunit",
                    [(f"process_open_fds{{{WHERE}}} / process_max_fds{{{WHERE}}}", "{{instance}}")],
                ),
            ],
            [
                (
                    "Up since",
                    "s",
                    [(f"time() - process_start_time_seconds{{{WHERE}}}", "{{instance}}")],
                ),
                ("Threads", "short", [(f"process_threads{{{WHERE}}}", "{{instance}}")]),
            ],
        ],
    },
}


def variable(name, query, multi):
    made = {
        "name": name,
        "type": "query",
        "datasource": PROMETHEUS,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": multi,
        "includeAll": multi,
    }
    if multi:
        made |= {"allValue": ".*", "current": {"text": "All", "value": "$__all"}}
    return made


def panel(number, title, unit, expressions, place):
    targets = [
        {"datasource": PROMETHEUS, "expr": expr, "legendFormat": legend, "refId": chr(ord("A") + index)}
        for index, (expr, legend) in enumerate(expressions)
    ]
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "datasource": PROMETHEUS,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": {"fillOpacity": 10}}, "overrides": []},
        "options": {
            "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": targets,
    }


def dashboard(name, of):
    panels = []
    for row, parts in enumerate(of["rows"]):
        width = 24 // len(parts)
        for column, (title, unit, expressions) in enumerate(parts):
            place = {"x": column * width, "y": row * 8, "w": width, "h": 8}
            panels.append(panel(len(panels) + 1, title, unit, expressions, place))
    explore = {"datasource": "jaeger", "queries": [{"refId": "A", "datasource": JAEGER, "queryType": "search", "service": "$job"}]}
    return {
        "uid": f"warp-skeleton-{name}",
        "title": f"warp-skeleton: {of['title']}",
        "description": of["about"],
        "tags": ["warp-skeleton"],
        "timezone": "browser",
        "refresh": "10s",
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                variable("job", "label_values(build_info, job)", False),
                variable("instance", 'label_values(build_info{job="$job"}, instance)', True),
                variable("path", 'label_values(request_count{job="$job"}, path)', True),
            ]
        },
        "links": [
            {"type": "dashboards", "title": "Dashboards", "tags": ["warp-skeleton"], "keepTime": True, "includeVars": True},
            {
                "type": "link",
                "title": "Traces",
                "url": "/explore?schemaVersion=1&panes=" + json.dumps({"traces": explore}, separators=(",", ":")),
            },
        ],
        "panels": panels,
    }


def main():
    stale = []
    for name, of in DASHBOARDS.items():
        target = FOLDER / f"{name}.json"
        text = json.dumps(dashboard(name, of), indent=2) + "\n"
        if "--check" not in sys.argv:
            target.write_text(text)
        elif not target.exists() or target.read_text() != text:
            stale.append(str(target))
    if stale:
        sys.exit(f"not current: {', '.join(stale)}: run ops/grafana/build.py")


main()
