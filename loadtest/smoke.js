// The shortest honest run: one visitor registers, signs in, asks who they are and leaves,
// a few times over. It tells whether a deployment works, not how fast it is.
//
//   k6 run -e BASE_URL=http://127.0.0.1:8000 loadtest/smoke.js

import { check } from "k6";
import { me, newAccount, register, signIn, signOut } from "./lib/api.js";
import { summary } from "./lib/summary.js";

export const options = {
  vus: 1,
  // Two requests each count against the limit on sign-ins, whose burst is 10.
  iterations: 3,
  thresholds: { checks: ["rate==1"] },
};

export const handleSummary = summary("smoke", options);

export default function () {
  const account = newAccount("smoke");
  register(account);
  const session = signIn(account);
  if (!session) return;

  const known = me(session.bearer);
  check(known, {
    "knows who is calling": () => known.status === 200 && known.json("email") === account.email,
  });

  signOut(session.bearer);
  // A session that ended is no session.
  me(session.bearer, 401);
}
