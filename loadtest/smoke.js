// The shortest honest run: one visitor registers, signs in, asks who they are and leaves,
// a few times over. It tells whether a deployment works, not how fast it is.
//
//   k6 run -e BASE_URL=http://127.0.0.1:8000 loadtest/smoke.js

import http from "k6/http";
import { check } from "k6";

const base = __ENV.BASE_URL || "http://127.0.0.1:8000";

export const options = {
  vus: 1,
  // Two requests each count against the limit on sign-ins, whose burst is 10.
  iterations: 3,
  thresholds: { checks: ["rate==1"] },
};

export default function () {
  const email = `smoke-${Date.now()}-${__ITER}@example.com`;
  const account = JSON.stringify({ email, password: "correct horse battery" });
  const json = { "Content-Type": "application/json" };

  const registered = http.post(`${base}/auth/register`, account, { headers: json });
  check(registered, { "registers: 201": (reply) => reply.status === 201 });

  const signedIn = http.post(`${base}/auth/token`, account, { headers: json });
  check(signedIn, { "signs in: 200": (reply) => reply.status === 200 });
  if (signedIn.status !== 200) return;
  const bearer = { headers: { Authorization: `Bearer ${signedIn.json("access_token")}` } };

  const me = http.get(`${base}/auth/me`, bearer);
  check(me, {
    "knows who is calling": (reply) => reply.status === 200 && reply.json("email") === email,
  });

  const left = http.post(`${base}/auth/logout`, null, bearer);
  check(left, { "signs out: 204": (reply) => reply.status === 204 });

  const stranger = http.get(`${base}/auth/me`, {
    ...bearer,
    responseCallback: http.expectedStatuses(401),
  });
  check(stranger, { "a session that ended is no session: 401": (reply) => reply.status === 401 });
}
