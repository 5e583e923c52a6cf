// The service's endpoints as scenarios use them. Each reply is held against the statuses that were
// wanted: any other counts as an error, in the checks and in http_req_failed.

import http from "k6/http";
import { check } from "k6";
import { Counter } from "k6/metrics";

export const base = (__ENV.BASE_URL || "http://127.0.0.1:8000").replace(/\/+$/, "");

// Refused for being too many, which says something of the limits and nothing of the load.
const refused = new Counter("refused");

// The name is the route's: with the query in it, each page of a list would be a series of its own.
export function ask(method, path, wanted, { body, bearer } = {}) {
  const statuses = [].concat(wanted);
  const name = `${method} ${path.split("?")[0]}`;
  const reply = http.request(method, base + path, body ? JSON.stringify(body) : null, {
    headers: { ...bearer?.headers, ...(body && { "Content-Type": "application/json" }) },
    responseCallback: http.expectedStatuses(...statuses),
    tags: { name },
  });
  if (reply.status === 429) refused.add(1);
  check(reply, { [`${name}: ${statuses.join(" or ")}`]: () => statuses.includes(reply.status) });
  return reply;
}

// An address that nobody had before, in this run or another.
let accounts = 0;
export function newAccount(prefix) {
  const unique = [Date.now().toString(36), __VU, ++accounts].join("-");
  return { email: `${prefix}-${unique}@example.com`, password: "correct horse battery" };
}

export function register(account) {
  return ask("POST", "/auth/register", 201, { body: account });
}

export function requestToken(account, wanted = 200) {
  return ask("POST", "/auth/token", wanted, { body: account });
}

// These two give a session, or nothing when there was none to be had.
export function signIn(account) {
  return sessionIn(requestToken(account));
}

// A refresh token is good once: whoever calls this forgets the old session for the new.
export function refresh(session) {
  const body = { refresh_token: session.refreshToken };
  return sessionIn(ask("POST", "/auth/refresh", 200, { body }));
}

export function sessionIn(reply) {
  if (reply.status !== 200) return undefined;
  const tokens = reply.json();
  return {
    bearer: bearerOf(tokens.access_token),
    refreshToken: tokens.refresh_token,
    refreshAt: Date.now() + tokens.expires_in * 800,
    expiresAt: Date.now() + tokens.expires_in * 1000,
  };
}

export function bearerOf(token) {
  return { headers: { Authorization: `Bearer ${token}` } };
}

export function me(bearer, wanted = 200) {
  return ask("GET", "/auth/me", wanted, { bearer });
}

export function listUsers(bearer) {
  return ask("GET", "/users?limit=20", 200, { bearer });
}

export function makeMember(id, bearer) {
  return ask("PATCH", `/users/${id}`, 200, { body: { role: "MEMBER" }, bearer });
}

export function signOut(bearer) {
  return ask("POST", "/auth/logout", 204, { bearer });
}
