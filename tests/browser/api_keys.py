"""API keys in a real browser: the pages that try the API out take one."""

import json
import urllib.request

from common import browser, passed, picture, post, service

EMAIL, PASSWORD = "keys@example.com", "marked-password-7"


def key_of(api):
    """A key of a new account."""
    post(f"{api}/auth/register", {"email": EMAIL, "password": PASSWORD})
    tokens = post(f"{api}/auth/token", {"email": EMAIL, "password": PASSWORD})
    headers = {
        "Authorization": f"Bearer {tokens['access_token']}",
        "Content-Type": "application/json",
    }
    body = json.dumps({"name": "of a browser", "scopes": ["account:read"]}).encode()
    request = urllib.request.Request(f"{api}/auth/keys", body, headers)
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())["key"]


def execute(page, operation):
    """Tries an operation out, and gives the status and body that the page shows."""
    block = page.locator(f"[id$='-{operation}']")
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    block.get_by_role("button", name="Execute").click()
    live = block.locator(".live-responses-table .response")
    live.wait_for()
    return live.locator(".response-col_status").inner_text().split()[0], live.inner_text()


def swagger(chromium, api, key):
    page = chromium.new_page()
    page.goto(f"{api}/docs")
    page.get_by_role("button", name="Authorize", exact=True).click()
    form = page.locator(".auth-container", has_text="key (http, Bearer)")
    assert "account:read" in form.inner_text(), form.inner_text()
    form.get_by_role("textbox").fill(key)
    form.get_by_role("button", name="Apply credentials").click()
    form.get_by_role("button", name="Remove authorization").wait_for()
    picture(page, "swagger-key")
    form.get_by_role("button", name="Close").click()
    passed("Swagger UI takes a key")

    status, text = execute(page, "get_auth_me")
    assert status == "200" and EMAIL in text, text
    passed("and sends it to an operation with its scope")
    assert "Scope: account:read." in page.locator("[id$='-get_auth_me']").inner_text()
    passed("of which the page states the scope")

    status, text = execute(page, "get_auth_keys")
    assert status == "401", text
    passed("and not to one that takes no keys")


with service() as api, browser() as chromium:
    swagger(chromium, api, key_of(api))
