"use strict";

const flows = {
  reset: {
    address: "/auth/password/reset",
    explanation: "The new password ends every session of the account. Sign in with it afterwards.",
    label: "New password",
    autocomplete: "new-password",
    body: (token, password) => ({ token, new_password: password }),
    done: "The password is changed. You can sign in with it now.",
  },
  verify: {
    address: "/auth/email/verify",
    explanation: "Enter the password of the account. If you did not create one with this address, somebody else did: close this page.",
    label: "Password",
    autocomplete: "current-password",
    body: (token, password) => ({ token, password }),
    done: "The address is verified. You can close this page.",
  },
  email: {
    address: "/auth/email/change",
    explanation: "Enter the password of the account. From then on it has the address that this link was sent to.",
    label: "Password",
    autocomplete: "current-password",
    body: (token, password) => ({ token, password }),
    done: "The address is changed. Sign in with the new one from now on.",
  },
};

const flow = flows[document.querySelector("main").dataset.flow];
const form = document.querySelector("form");
const input = document.querySelector("input");
const button = document.querySelector("button");
const message = document.querySelector("#message");
const token = new URLSearchParams(location.hash.slice(1)).get("token");

function say(text, kind) {
  message.textContent = text;
  message.className = kind;
}

async function reason(response) {
  try {
    const problem = await response.json();
    const details = (problem.errors || []).map((error) => error.detail);
    const texts = details.length > 0 ? details : [problem.detail];
    return texts.map((text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`).join(" ");
  } catch {
    return `The service answered ${response.status}.`;
  }
}

async function send(event) {
  event.preventDefault();
  button.disabled = true;
  input.removeAttribute("aria-invalid");
  say("One moment …", "");
  try {
    const response = await fetch(flow.address, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(flow.body(token, input.value)),
    });
    if (response.ok) {
      form.hidden = true;
      say(flow.done, "right");
      // The token is used up; nobody needs it in the history.
      history.replaceState(null, "", location.pathname);
      return;
    }
    say(await reason(response), "wrong");
    input.setAttribute("aria-invalid", "true");
    input.focus();
  } catch {
    say("The service cannot be reached. Try again.", "wrong");
  }
  button.disabled = false;
}

// Another link of the same kind, opened in this tab: only the fragment differs, so the browser loads nothing.
addEventListener("hashchange", () => location.reload());

if (token) {
  document.querySelector(".explanation").textContent = flow.explanation;
  document.querySelector("label").textContent = flow.label;
  input.autocomplete = flow.autocomplete;
  form.addEventListener("submit", send);
  form.hidden = false;
  input.focus();
} else {
  say("This address is not whole: open the link in the mail again, or copy all of it.", "wrong");
}
