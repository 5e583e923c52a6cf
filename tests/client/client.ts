// What a front-end team does first: a client whose types come from the OpenAPI document, and a call of every operation.
// It compiles only if the document describes what is sent, and fails if an operation is not called at all.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Problem = components["schemas"]["Problem"];

const base = process.argv[2]!;
const operations = new Set<string>();
const recorder: Middleware = {
  onRequest({ request, schemaPath }) {
    operations.add(`${request.method} ${schemaPath}`);
  },
};

function client(token?: string) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const made = createClient<paths>({ baseUrl: base, headers });
  made.use(recorder);
  return made;
}

function done<T>(answer: { data?: T; error?: unknown; response: Response }, status: number): T {
  const seen = JSON.stringify(answer.error);
  assert.equal(answer.response.status, status, `${answer.response.url}: ${seen}`);
  return answer.data as T;
}

function refused(answer: { error?: Problem | unknown; response: Response }, status: number, code: string) {
  done(answer, status);
  assert.equal((answer.error as Problem).code, code);
}

const anyone = client();
const owner = client(process.argv[3]);
const form = (body: object) => new URLSearchParams(body as Record<string, string>);
const encoded = { "Content-Type": "application/x-www-form-urlencoded" };
const text = { parseAs: "text" } as const;

async function register(email: string) {
  const body = { email, password: "a long password" };
  const account = done(await anyone.POST("/auth/register", { body }), 201);
  // A neutral registration would answer 202 and no account.
  assert(account);
  const tokens = done(await anyone.POST("/auth/token", { body }), 200);
  assert("access_token" in tokens);
  return { body, account, tokens, self: client(tokens.access_token) };
}

async function sessions() {
  const { body, account, tokens, self } = await register("client@example.com");
  const me = done(await self.GET("/auth/me"), 200);
  assert.equal(me.email, account.email);
  const list = done(await self.GET("/auth/sessions"), 200);
  assert.equal(list.items.length, 1);

  const { password } = body;
  done(await self.POST("/auth/reauthenticate", { body: { current_password: password } }), 204);
  const wrong = await self.POST("/auth/reauthenticate", { body: { current_password: "wrong" } });
  refused(wrong, 422, "current_password_incorrect");
  const refreshed = done(await anyone.POST("/auth/refresh", { body: { refresh_token: tokens.refresh_token } }), 200);
  const change = { current_password: password, new_password: "another long password" };
  done(await self.POST("/auth/password", { body: change }), 204);
  const credentials = { email: body.email, password: change.new_password };
  await self.PATCH("/auth/me", { body: { email: "client2@example.com", current_password: change.new_password } });

  const second = done(await anyone.POST("/auth/token", { body: credentials }), 200);
  assert("access_token" in second);
  const { items } = done(await self.GET("/auth/sessions"), 200);
  const other = items.find((session) => !session.current)!;
  done(await self.DELETE("/auth/sessions/{id}", { params: { path: { id: other.id } } }), 204);
  const revoked = { body: { token: refreshed.refresh_token }, bodySerializer: form, headers: encoded };
  done(await anyone.POST("/auth/revoke", revoked), 200);
  for (const path of ["/auth/logout", "/auth/logout-all"] as const) {
    const tokens = done(await anyone.POST("/auth/token", { body: credentials }), 200);
    assert("access_token" in tokens);
    done(await client(tokens.access_token).POST(path), 204);
  }
  refused(await self.GET("/auth/me"), 401, "invalid_token");
  // browser_sessions: begin
  const cookie = await anyone.POST("/auth/token", {
    body: { ...credentials, transport: "cookie" },
    headers: { "Sec-Fetch-Site": "same-origin" },
  });
  const session = done(cookie, 200);
  assert("expires_in" in session && "user" in session);
  assert.match(cookie.response.headers.get("set-cookie")!, /HttpOnly/);
  // browser_sessions: end
}

async function users() {
  const { account } = await register("other@example.com");
  const path = { id: account.id };
  const list = done(await owner.GET("/users", { params: { query: { limit: 2 } } }), 200);
  assert.equal(list.items.length, 2);
  done(await owner.GET("/users/{id}", { params: { path } }), 200);
  const changed = done(await owner.PATCH("/users/{id}", { params: { path }, body: { role: "MEMBER" } }), 200);
  assert.equal(changed.role, "MEMBER");
  // recovery: begin
  done(await owner.POST("/users/{id}/password-reset", { params: { path } }), 202);
  // recovery: end
  done(await owner.DELETE("/users/{id}", { params: { path } }), 204);
  refused(await owner.GET("/users/{id}", { params: { path } }), 404, "not_found");
}

// recovery: begin
async function recovery() {
  const { self } = await register("recovered@example.com");
  done(await self.POST("/auth/email/verification"), 202);
  const known = done(await self.GET("/auth/email/verification"), 200);
  assert.deepEqual(known, { verified: false, pending_email: null });
  done(await anyone.POST("/auth/password/forgot", { body: { email: "recovered@example.com" } }), 202);
  const token = "no-token", password = "a long password";
  const reset = await anyone.POST("/auth/password/reset", { body: { token, new_password: password } });
  refused(reset, 422, "token_invalid");
  refused(await anyone.POST("/auth/email/verify", { body: { token, password } }), 422, "token_invalid");
  refused(await anyone.POST("/auth/email/change", { body: { token, password } }), 422, "token_invalid");
  for (const path of [
    "/account/verify", "/account/reset", "/account/email", "/account/account.css", "/account/account.js",
  ] as const) {
    done(await anyone.GET(path, text), 200);
  }
}
// recovery: end

// api_keys: begin
async function keys() {
  const { self, account } = await register("machine@example.com");
  const body = { name: "nightly report", scopes: ["account:read"], expires_in_days: 90 };
  const made = done(await self.POST("/auth/keys", { body }), 201);
  const machine = client(made.key);
  assert.equal(done(await machine.GET("/auth/me"), 200).id, account.id);
  refused(await machine.GET("/auth/sessions"), 403, "key_not_allowed");

  const params = { path: { id: made.id } };
  const renamed = done(await self.PATCH("/auth/keys/{id}", { params, body: { name: "report" } }), 200);
  assert.equal(renamed.name, "report");
  const next = done(await self.POST("/auth/keys/{id}/rotate", { params }), 201);
  assert.equal(done(await self.GET("/auth/keys"), 200).items.length, 2);
  done(await self.DELETE("/auth/keys/{id}", { params }), 204);
  const user = { path: { id: account.id } };
  assert.equal(done(await owner.GET("/users/{id}/keys", { params: user }), 200).items.length, 1);
  const both = { path: { id: account.id, key: next.id } };
  done(await owner.DELETE("/users/{id}/keys/{key}", { params: both }), 204);
  refused(await client(next.key).GET("/auth/me"), 401, "invalid_token");
}
// api_keys: end

async function operationsAndDocuments() {
  done(await anyone.GET("/live"), 200);
  done(await anyone.GET("/ready"), 200);
  done(await anyone.GET("/health"), 200);
  done(await owner.GET("/info"), 200);
  for (const path of ["/metrics", "/docs", "/redoc"] as const) {
    done(await anyone.GET(path, text), 200);
  }
  done(await anyone.GET("/openapi.json"), 200);
  done(await anyone.GET("/docs/{asset}", { params: { path: { asset: "swagger-ui.css" } }, ...text }), 200);
  done(await anyone.GET("/redoc/{asset}", { params: { path: { asset: "redoc.standalone.js" } }, ...text }), 200);
  done(await anyone.GET("/problems/{code}", { params: { path: { code: "not_found" } }, ...text }), 200);
}

await sessions();
await users();
// recovery: begin
await recovery();
// recovery: end
// api_keys: begin
await keys();
// api_keys: end
await operationsAndDocuments();

const document = JSON.parse(readFileSync("openapi.json", "utf8")) as { paths: Record<string, object> };
const documented = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`));
const missing = documented.filter((operation) => !operations.has(operation));
assert.deepEqual(missing, [], "operations that client.ts does not call");
console.log(`ok: ${documented.length} operations`);
