// The rate limits hold: whoever signs in too eagerly is told so, and for how long, and is let in
// again after that; meanwhile nobody notices who asks for something else. The one scenario for
// which RATE_LIMIT has to be on.
//
//   k6 run -e BASE_URL=http://127.0.0.1:8000 loadtest/limits.js

import exec from "k6/execution";
import { check, sleep } from "k6";
import { ask, me, newAccount, requestToken, sessionIn } from "./lib/api.js";
import { summary } from "./lib/summary.js";

export const options = {
  scenarios: {
    bystander: {
      executor: "constant-arrival-rate",
      exec: "lookAround",
      rate: 20,
      duration: "10s",
      preAllocatedVUs: 5,
    },
    eager: { executor: "per-vu-iterations", exec: "signInEagerly", startTime: "2s" },
  },
  thresholds: {
    checks: ["rate==1"],
    "checks{scenario:eager}": ["rate==1"],
    "http_req_duration{scenario:bystander}": [`p(95)<${__ENV.P95_MS || 500}`],
  },
};

export const handleSummary = summary("limits", options);

// Refused here is whoever ran this a moment ago: the limit is on the address they come from.
const patiently = (request) => {
  const reply = request();
  if (reply.status !== 429) return reply;
  sleep(Number(reply.headers["Retry-After"]) || 1);
  return patiently(request);
};

export function setup() {
  const account = newAccount("limits");
  const registered = patiently(() =>
    ask("POST", "/auth/register", [201, 429], { body: account }),
  );
  if (!registered.headers["Ratelimit-Policy"]) {
    exec.test.abort("the service has its rate limits off: start it with RATE_LIMIT=on");
  }
  return { account, ...sessionIn(patiently(() => requestToken(account, [200, 429]))) };
}

export function lookAround({ bearer }) {
  me(bearer);
  ask("GET", "/live", 200);
}

// Signs in without a pause until that is refused. As many have to get through as the service said
// there were left, and not many more: tokens come back while hashes are computed.
export function signInEagerly({ account, refreshToken }) {
  const attempt = () => requestToken(account, [200, 429]);
  let last = patiently(attempt);
  const promised = leftAfter(last);
  let through = 0;
  while (last.status === 200 && through < promised + 50) {
    last = attempt();
    if (last.status === 200) through++;
  }
  check(last, {
    "too many sign-ins are refused": () => last.status === 429,
    "those that were promised got through": () => through >= promised,
  });
  tellsAll(last);

  // The other doors to guess at are shut with it, and open again with it. A refresh token that
  // was refused was not used.
  const refreshing = () =>
    ask("POST", "/auth/refresh", [200, 429], { body: { refresh_token: refreshToken } });
  check(refreshing(), { "refreshes are counted with them": (reply) => reply.status === 429 });
  sleep(Number(last.headers["Retry-After"]));
  check(attempt(), { "after Retry-After there is one again": (reply) => reply.status === 200 });
  check(patiently(refreshing), { "a refused refresh used nothing up": (reply) => reply.status === 200 });
}

function tellsAll(refusal) {
  check(refusal, {
    "Retry-After is a number of seconds": ({ headers }) => /^[1-9]\d*$/.test(headers["Retry-After"]),
    "RateLimit says that none is left": ({ headers }) => /^"auth";r=0;t=\d+$/.test(headers["Ratelimit"]),
    "RateLimit-Policy says how many there are": ({ headers }) =>
      /^"auth";q=\d+;w=\d+$/.test(headers["Ratelimit-Policy"]),
    "the problem has its code": (reply) =>
      reply.headers["Content-Type"] === "application/problem+json" &&
      reply.json("code") === "too_many_requests",
  });
}

// What RateLimit says: "auth";r=3;t=14
const leftAfter = ({ headers }) => Number(/;r=(\d+)/.exec(headers["Ratelimit"])?.[1]);
