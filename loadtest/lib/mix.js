// A real mix of requests in phases that follow each other, which is all that load, stress, spike
// and soak differ in:
//
// - readers: each is signed in, asks who it is, and now and then lists users as an administrator;
// - visits: register, sign in, look, refresh, sign out. A third as many a second as ARRIVALS,
//   because three of these requests are the ones that hash or write. They come at that rate
//   however long the answers take: visitors do not wait for each other.

import exec from "k6/execution";
import { group, sleep } from "k6";
import * as api from "./api.js";
import * as steps from "../steps/index.js";

const number = (name, usual) => Number(__ENV[name] || usual);

const readers = number("VUS", 50);
const arrivals = number("ARRIVALS", 3);
const think = number("THINK_MS", 100) / 1000;
const errors = number("MAX_ERRORS", 0.01);
const p95 = number("P95_MS", 500);
const adminToken = __ENV.ADMIN_TOKEN;
const admin = adminToken && api.bearerOf(adminToken);

const own = Object.entries(steps);

const READS = ["GET /auth/me", ...(admin ? ["GET /users"] : [])];
const VISITS = ["POST /auth/register", "POST /auth/token", "POST /auth/refresh", "POST /auth/logout"];

// How long a phase lasts, as in DURATION=90s, 10m or 4h.
export function seconds(usual) {
  const [, count, unit] = /^(\d+)(s|m|h)$/.exec(__ENV.DURATION || usual) || [];
  if (!count) throw new Error("DURATION is a number and s, m or h: 90s");
  return count * { s: 1, m: 60, h: 3600 }[unit];
}

// What a phase promises of a route, as thresholds: that it is asked, on errors, and on p95. What is
// only looked at gets thresholds too, which anything meets: k6 reports on nothing else. A visit is
// dropped when so many wait for answers already that there is no virtual user left.
export const kept = () => ({ ...answered(), lasted: [`p(95)<${p95}`], dropped: ["count==0"] });
export const answered = () => ({ ...seen(), asked: ["count>0"], failed: [`rate<${errors}`] });
export const seen = () => ({ asked: ["count>=0"], failed: ["rate>=0"], lasted: ["p(95)>=0"] });

// The same for what is already measured: a row of the summary.
export const isKept = (row) => row.errors < errors * row.requests && row.p95_ms < p95;

// Between two phases, so that the last visits of one are not held up by the next.
const LEAVING = 3;

// The options for phases of { name, times, seconds, promise }: `times` multiplies readers and
// arrivals, and `promise` tells what is kept of a route.
let plan;
export function mix(phases) {
  plan = phases;
  const options = {
    scenarios: {},
    thresholds: { refused: ["count==0"] },
    setupTimeout: "30m",
    summaryTrendStats: ["med", "p(95)", "p(99)"],
  };
  let start = 0;
  for (const phase of phases) {
    Object.assign(options.scenarios, scenarios(phase, start));
    Object.assign(options.thresholds, thresholds(phase));
    start += phase.seconds + LEAVING;
  }
  return options;
}

const visitors = (rate) => 2 * rate;

function scenarios({ name, times, seconds }, start) {
  const when = { startTime: `${start}s`, duration: `${seconds}s`, tags: { phase: name } };
  const rate = Math.round(arrivals * times);
  return {
    [`${name}_readers`]: {
      ...when,
      executor: "constant-vus",
      exec: "read",
      vus: Math.round(readers * times),
      gracefulStop: "5s",
    },
    [`${name}_visits`]: {
      ...when,
      executor: "constant-arrival-rate",
      exec: "visit",
      rate,
      timeUnit: "3s",
      // A visit takes two seconds, and a few more where hashing is the bottleneck.
      preAllocatedVUs: visitors(rate),
      maxVUs: 5 * rate,
      gracefulStop: "15s",
    },
  };
}

function thresholds({ name, promise }) {
  const found = {};
  const rows = [...READS, ...VISITS].map((route) => [`name:${route}`, promise(route)]);
  if (admin) rows.push(...own.map(([step]) => [`group:::${step}`, promise(step)]));
  for (const [tag, { asked, failed, lasted }] of rows) {
    found[`http_reqs{phase:${name},${tag}}`] = asked;
    found[`http_req_failed{phase:${name},${tag}}`] = failed;
    found[`http_req_duration{phase:${name},${tag}}`] = lasted;
  }
  const { dropped } = promise("visits");
  if (dropped) found[`dropped_iterations{phase:${name}}`] = dropped;
  return found;
}

// Users with their sessions, one after the other: hashing is slow on purpose, and a crowd of
// sign-ups would only queue for it. All this is no part of what is measured.
export function setup() {
  if (admin) requireAdmin();
  else console.warn("LEFT OUT: listing users, and steps of features: both take an ADMIN_TOKEN");
  const began = Date.now();
  // Virtual users are numbered in no order, so that a reader's number may be a visitor's next time.
  const count = readers + visitors(arrivals);
  const sessions = Array.from({ length: count }, newReader);
  requireLifetime(sessions[0].expiresAt);
  console.log(`${count} users are signed in, after ${Math.round((Date.now() - began) / 1000)} s`);
  return { sessions };
}

function requireAdmin() {
  insist(api.me(admin), 200, "ADMIN_TOKEN (empty does without) is not accepted");
}

function newReader() {
  const account = api.newAccount("load");
  const registered = api.register(account);
  insist(registered, 201, "nobody can register");
  // A step is for members, and whoever registers is less.
  if (admin && own.length) api.makeMember(registered.json("id"), admin);
  const signedIn = api.requestToken(account);
  insist(signedIn, 200, "nobody can sign in");
  return api.sessionIn(signedIn);
}

// A crowd beyond the usual number of readers borrows sessions, which nobody but their owners may
// refresh.
function requireLifetime(expiresAt) {
  const lasting = plan.reduce((sum, phase) => sum + phase.seconds + LEAVING, 0);
  const crowded = plan.some((phase) => phase.times > 1);
  if (crowded && Date.now() + lasting * 1000 > expiresAt) {
    exec.test.abort("the run lasts longer than an access token: choose a shorter DURATION");
  }
}

function insist(reply, status, otherwise) {
  if (reply.status === status) return;
  if (reply.status === 429) {
    exec.test.abort("the service has its rate limits on: start it with RATE_LIMIT=off");
  }
  exec.test.abort(`${otherwise} at ${reply.url}: ${reply.error || reply.status}`);
}

export function read({ sessions }) {
  const turn = exec.vu.idInTest + exec.vu.iterationInScenario;
  const step = own[Math.floor(turn / 10) % own.length];
  if (admin && turn % 10 === 0) api.listUsers(admin);
  else if (admin && step && turn % 10 === 5) group(step[0], () => step[1](api.base, bearer(sessions)));
  else api.me(bearer(sessions));
  sleep(think);
}

// This virtual user's own pair of tokens, for a refresh token is good once.
let session;

function bearer(sessions) {
  const mine = sessions[exec.vu.idInTest - 1];
  session = session || mine || sessions[exec.vu.idInTest % sessions.length];
  if (mine && Date.now() > session.refreshAt) session = api.refresh(session) || session;
  return session.bearer;
}

const pause = () => sleep(0.5);

export function visit() {
  const account = api.newAccount("load");
  if (api.register(account).status !== 201) return;
  pause();
  const first = api.signIn(account);
  if (!first) return;
  api.me(first.bearer);
  pause();
  const second = api.refresh(first) || first;
  pause();
  api.signOut(second.bearer);
}
