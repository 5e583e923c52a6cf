// A crowd ten times the usual arrives at once, and leaves. Meanwhile readers are served, however
// slowly, and sign-ins may be told to come back: they queue for processors. Afterwards all is as
// it was before.

import { answered, kept, mix, seconds, seen } from "./lib/mix.js";
import { summary } from "./lib/summary.js";

export { read, setup, visit } from "./lib/mix.js";

const each = seconds("10s");
const readersAnswered = (route) => (route.startsWith("GET ") ? answered() : seen());

export const options = mix([
  { name: "before", times: 1, seconds: each, promise: kept },
  { name: "spike", times: 10, seconds: each, promise: readersAnswered },
  // Those who came with the crowd are still about to leave, and hash once more.
  { name: "settling", times: 1, seconds: 10, promise: readersAnswered },
  { name: "after", times: 1, seconds: each, promise: kept },
]);

export const handleSummary = summary("spike", options);
