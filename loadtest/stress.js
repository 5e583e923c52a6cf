// More and more of everything, until it hurts: readers and arrivals double from step to step. The
// first step is the usual load and has to hold; how far the others hold is what this run tells.

import { isKept, kept, mix, seconds, seen } from "./lib/mix.js";
import { summary } from "./lib/summary.js";

export { read, setup, visit } from "./lib/mix.js";

const steps = (__ENV.STEPS || "1,2,4,8,16").split(",").map(Number);
const each = seconds("10s");

export const options = mix(
  steps.map((times, index) => ({
    name: `${times}x`,
    times,
    seconds: each,
    promise: index === 0 ? kept : seen,
  })),
);

export const handleSummary = summary("stress", options, ({ routes }) => {
  const hurts = routes.find((row) => !isKept(row));
  if (!hurts) return [`nothing hurt up to ${steps[steps.length - 1]}x: choose larger STEPS`];
  const { phase, route, errors, requests, p95_ms } = hurts;
  const what = `${errors} of ${requests} failed, p95 ${Math.round(p95_ms)} ms`;
  return [`hurts from ${phase} on: ${route}, ${what}`];
});
