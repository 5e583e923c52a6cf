// The usual load for long (DURATION=10m, or hours), which is how what leaks is found: the service's
// own account of its memory and open files is followed, and must not have grown in the end.

import http from "k6/http";
import exec from "k6/execution";
import { sleep } from "k6";
import { Gauge } from "k6/metrics";
import { base } from "./lib/api.js";
import { kept, mix, seconds } from "./lib/mix.js";
import { summary } from "./lib/summary.js";

export { read, setup, visit } from "./lib/mix.js";

const lasting = seconds("10m");
const metrics = __ENV.METRICS_URL || `${base}/metrics`;
const limit = Number(__ENV.MAX_GROWTH || 1.2);

const load = mix([{ name: "soak", times: 1, seconds: lasting, promise: kept }]);

export const options = {
  ...load,
  scenarios: {
    ...load.scenarios,
    watch: { executor: "constant-vus", exec: "watch", vus: 1, duration: `${lasting}s` },
  },
  thresholds: {
    ...load.thresholds,
    memory_growth: [`value<${limit}`],
    open_files_growth: [`value<${limit}`],
  },
};

// Each grows by its lowest reading late in the run over its lowest early on: a peak is no leak,
// and what leaks lifts the floor.
const WATCHED = {
  process_resident_memory_bytes: { growth: new Gauge("memory_growth"), early: Infinity, late: Infinity },
  process_open_fds: { growth: new Gauge("open_files_growth"), early: Infinity, late: Infinity },
};

export function watch() {
  const text = http.get(metrics, { tags: { name: "GET /metrics" } }).body || "";
  for (const [name, floor] of Object.entries(WATCHED)) {
    const [, value] = new RegExp(`^${name} (\\S+)$`, "m").exec(text) || [];
    if (value) follow(floor, Number(value));
  }
  sleep(Math.max(1, lasting / 60));
}

// The first tenth is left out, in which pools and caches fill.
function follow(floor, value) {
  const progress = exec.scenario.progress;
  if (progress > 0.1 && progress < 0.4) floor.early = Math.min(floor.early, value);
  if (progress < 0.7 || floor.early === Infinity) return;
  floor.late = Math.min(floor.late, value);
  floor.growth.add(floor.late / floor.early);
}

export const handleSummary = summary("soak", options, (found, { metrics: all }) =>
  ["memory_growth", "open_files_growth"].map((name) => {
    const value = all[name]?.values.value;
    return value
      ? `${name}: ${value.toFixed(2)} times what it was`
      : `${name}: NOT SEEN, because ${metrics} did not tell (METRICS_URL)`;
  }),
);
