// What a run has shown, for people on standard output and for programs in the file that RESULTS
// names: never what setup() returned, which holds tokens.

import { base } from "./api.js";

// The handleSummary of a scenario with these options. `remark` may add lines to what is printed.
export function summary(scenario, options, remark = () => []) {
  // Noted now, because k6 shuffles them later.
  const order = Object.keys(options.thresholds);
  return (data) => {
    // Given up in setup(), which has said why.
    if (!data.metrics.iterations) return { stdout: "nothing was measured: see above\n" };
    const found = {
      scenario,
      base_url: base,
      finished_at: new Date().toISOString(),
      seconds: Math.round(data.state.testRunDurationMs / 1000),
      routes: routesIn(data.metrics, order),
      checks: data.root_group.checks.map(({ name, passes, fails }) => ({ name, passes, fails })),
      dropped: data.metrics.dropped_iterations?.values.count || 0,
      missed: missedIn(data.metrics, order),
    };
    const printed = { stdout: `${[...page(found), ...remark(found, data)].join("\n")}\n` };
    if (__ENV.RESULTS) printed[__ENV.RESULTS] = `${JSON.stringify(found, null, 2)}\n`;
    return printed;
  };
}

// One row for each route or step of each phase: those for which there are thresholds, in their order.
function routesIn(metrics, thresholds) {
  const rows = [];
  for (const key of thresholds) {
    const [, selector, phase, route] =
      /^http_req_duration(\{phase:([^,]+),(?:name:|group:::)(.+)\})$/.exec(key) || [];
    if (!selector) continue;
    const lasted = metrics[key];
    const failed = metrics[`http_req_failed${selector}`];
    const of = [lasted, failed, metrics[`http_reqs${selector}`]];
    rows.push({
      phase,
      route,
      // A rate "passes" when it is true, and what is true here is that a request failed.
      requests: failed.values.passes + failed.values.fails,
      errors: failed.values.passes,
      p50_ms: lasted.values.med,
      p95_ms: lasted.values["p(95)"],
      p99_ms: lasted.values["p(99)"],
      verdict: verdict(of),
    });
  }
  return rows;
}

function missedIn(metrics, thresholds) {
  return thresholds.flatMap((name) =>
    broken(metrics[name]).map(
      (threshold) => `${name}: ${threshold}, and it is ${actual(metrics[name], threshold)}`,
    ),
  );
}

// Nothing, where the thresholds are such that anything meets them.
function verdict(metrics) {
  if (metrics.some((metric) => broken(metric).length)) return "MISSED";
  const promises = metrics.flatMap((metric) => Object.keys(metric.thresholds));
  return promises.some((threshold) => !threshold.endsWith(">=0")) ? "ok" : "";
}

const broken = (metric) =>
  Object.entries(metric?.thresholds || {}).flatMap(([text, { ok }]) => (ok ? [] : [text]));

// The value that a threshold such as p(95)<500 is about.
function actual({ values }, threshold) {
  const value = values[threshold.split(/[<>=!]/)[0].trim()];
  return value === undefined ? "unknown" : Number(value.toPrecision(3));
}

function page({ scenario, base_url, seconds, routes, checks, dropped, missed }) {
  return [
    "",
    `${scenario} against ${base_url}, ${seconds} s in all`,
    ...(routes.length ? routeTable(routes) : checkTable(checks)),
    "",
    ...(dropped ? [`${dropped} visits did not begin, so many others waited for answers`] : []),
    ...missed.map((line) => `MISSED  ${line}`),
    ...(missed.some((line) => line.startsWith("refused"))
      ? ["        The service has its rate limits on: start it with RATE_LIMIT=off."]
      : []),
    missed.length ? `thresholds missed: ${missed.length}` : "every threshold was met",
  ];
}

function routeTable(routes) {
  const lines = [["route", "requests", "errors", "p50 ms", "p95 ms", "p99 ms", ""]];
  let last;
  for (const row of routes) {
    if (row.phase !== last) lines.push([], [`${row.phase}:`]);
    last = row.phase;
    const share = row.requests ? `${((100 * row.errors) / row.requests).toFixed(1)} %` : "-";
    const times = [row.p50_ms, row.p95_ms, row.p99_ms].map((time) => time?.toFixed(1) ?? "-");
    lines.push([row.route, String(row.requests), share, ...times, row.verdict]);
  }
  return ["", ...lines.map(aligned)];
}

// Names to the left, numbers to the right.
const aligned = ([name = "", ...numbers]) =>
  [name.padEnd(22), ...numbers.map((text) => text.padStart(9))].join(" ").trimEnd();

function checkTable(checks) {
  const lines = checks.map(({ name, passes, fails }) => [
    fails ? "FAILED" : "ok",
    fails ? `${fails} of ${passes + fails}: ${name}` : `${name} (${passes})`,
  ]);
  return ["", ...lines.map(([verdict, text]) => `${verdict.padEnd(8)}${text}`)];
}
