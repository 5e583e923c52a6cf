// Makes a note, finds it again by itself and in the list, and deletes it: a step for
// a scenario whose visitor is signed in as a MEMBER.

import http from "k6/http";
import { check } from "k6";

export function notes(base, bearer) {
  const body = JSON.stringify({ title: "some title", body: "some body", pinned: true });
  const headers = { ...bearer.headers, "Content-Type": "application/json" };
  const made = http.post(`${base}/notes`, body, { ...bearer, headers });
  check(made, { "makes a note: 201": (reply) => reply.status === 201 });
  if (made.status !== 201) return;
  const id = made.json("id");
  const address = `${base}/notes/${id}`;
  // Under one name, or each id would be a series of its own.
  const named = { ...bearer, tags: { name: "/notes/{id}" } };

  const found = http.get(address, named);
  check(found, {
    "finds the note": (reply) => reply.status === 200 && reply.json("id") === id,
  });

  const listed = http.get(`${base}/notes?limit=100`, bearer);
  check(listed, {
    "finds it in the list": (reply) =>
      reply.status === 200 && reply.json("items").some((item) => item.id === id),
  });

  const deleted = http.del(address, null, named);
  check(deleted, { "deletes the note: 204": (reply) => reply.status === 204 });
}
