// What the service is made for: readers at their usual number, sign-ins at their usual rate.
//
//   k6 run -e BASE_URL=http://127.0.0.1:8000 loadtest/load.js

import { kept, mix, seconds } from "./lib/mix.js";
import { summary } from "./lib/summary.js";

export { read, setup, visit } from "./lib/mix.js";

export const options = mix([{ name: "load", times: 1, seconds: seconds("10s"), promise: kept }]);

export const handleSummary = summary("load", options);
