"""Sessions by cookie in a real browser: examples/browser/index.html, and pages of other sites."""

import os
import tempfile

from common import ROOT, browser, pages, passed, picture, post, service

EMAIL, PASSWORD = "browser@example.com", "marked-password-7"

# Sends what it is told to, as soon as it is opened: by a form, which needs no permission, and by a script.
FOREIGN = """<!doctype html><title>Somebody else's</title>
<form method="post" enctype="text/plain"><input name="{" value="}"></form>
<p id="outcome"></p>
<script>
const parameters = new URLSearchParams(location.search);
const url = parameters.get("url");
if (parameters.get("by") === "form") {
  document.forms[0].action = url;
  document.forms[0].submit();
} else {
  fetch(url, { method: "POST", credentials: "include", mode: parameters.get("mode") })
    .then((answer) => answer.type === "opaque" ? "sent blindly" : String(answer.status), () => "blocked")
    .then((outcome) => { document.getElementById("outcome").textContent = outcome; });
}
</script>
"""


def sign_in(page, url):
    page.goto(url)
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text(f"Signed in as {EMAIL}").wait_for()


def example(chromium, api, origin):
    url = f"{origin}/?api={api}"
    context = chromium.new_context()
    page = context.new_page()
    page.goto(url)
    page.get_by_role("status").get_by_text("Sign in.").wait_for()
    picture(page, "browser-form")
    sign_in(page, url)
    picture(page, "browser-account")
    passed("signs in")

    page.reload()
    page.get_by_text(f"Signed in as {EMAIL}").wait_for()
    passed("is signed in after a reload")

    [cookie] = context.cookies(api)
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("session", True, "Lax"), cookie
    seen = page.evaluate("document.cookie + Object.keys(localStorage) + Object.keys(sessionStorage)")
    assert seen == "", seen
    passed("no script sees the cookie, and nothing else is kept")

    tab = context.new_page()
    tab.goto(url)
    tab.get_by_text(f"Signed in as {EMAIL}").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_text("Signed out.").wait_for()
    assert context.cookies(api) == []
    tab.evaluate("dispatchEvent(new Event('focus'))")
    tab.get_by_text("The session has ended. Sign in again.").wait_for()
    passed("a sign-out in one tab is noticed in the other")

    sign_in(tab, url)
    elsewhere = chromium.new_context()
    other = elsewhere.new_page()
    sign_in(other, url)
    tab.reload()
    tab.get_by_role("button", name="End", exact=True).click()
    tab.wait_for_function("document.querySelectorAll('li').length === 1")
    other.evaluate("dispatchEvent(new Event('focus'))")
    other.get_by_text("The session has ended. Sign in again.").wait_for()
    tab.reload()
    tab.get_by_text(f"Signed in as {EMAIL}").wait_for()
    passed("a session is ended from another browser, which notices")
    return context


def reauthenticate(context, api, origin):
    """One tab gives the password again while another asks: neither is signed out."""
    page, tab = context.new_page(), context.new_page()
    for each in (page, tab):
        each.goto(f"{origin}/?api={api}")
        each.get_by_text(f"Signed in as {EMAIL}").wait_for()
    [before] = context.cookies(api)
    asking = """async ([api, count]) => {
        const statuses = new Set();
        for (let asked = 0; asked < count; asked++)
            statuses.add((await fetch(api + "/auth/me", { credentials: "include" })).status);
        return [...statuses];
    }"""
    proving = """([api, password]) => fetch(api + "/auth/reauthenticate", {
        method: "POST", credentials: "include", headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ current_password: password }) }).then((answer) => answer.status)"""
    pending = tab.evaluate_handle("(arguments) => ({ done: (" + asking + ")(arguments) })", [api, 200])
    assert page.evaluate(proving, [api, PASSWORD]) == 204
    assert pending.evaluate("(pending) => pending.done") == [200]
    [after] = context.cookies(api)
    assert before["value"] != after["value"]
    for each in (page, tab):
        each.reload()
        each.get_by_text(f"Signed in as {EMAIL}").wait_for()
    passed("giving the password again changes the cookie, and the other tab goes on")


def attack(context, api, foreign, restricted):
    """A page of another site has requests sent. `restricted`: the browser itself keeps the cookie from them."""
    page = context.new_page()
    page.goto(f"{foreign}/?by=form&url={api}/auth/logout")
    page.wait_for_url(f"{api}/auth/logout")
    answer = page.inner_text("body")
    expected = "unauthenticated" if restricted else "cross_site_request"
    assert expected in answer, answer
    for mode, outcome in (("cors", "blocked"), ("no-cors", "sent blindly")):
        page.goto(f"{foreign}/?by=fetch&mode={mode}&url={api}/auth/logout")
        page.wait_for_function("document.getElementById('outcome').textContent")
        assert page.inner_text("#outcome") == outcome, (mode, page.inner_text("#outcome"))


folder = os.path.join(ROOT, "examples", "browser")
with tempfile.TemporaryDirectory() as theirs, browser() as chromium:
    with open(os.path.join(theirs, "index.html"), "w", encoding="utf-8") as file:
        file.write(FOREIGN)
    # To a browser `localhost` is another site than 127.0.0.1.
    with pages(folder, "127.0.0.1") as origin, pages(theirs, "localhost") as foreign:
        with service(COOKIE_SESSIONS="on", CORS_ALLOWED_ORIGINS=origin) as api:
            post(f"{api}/auth/register", {"email": EMAIL, "password": PASSWORD})
            context = example(chromium, api, origin)
            reauthenticate(context, api, origin)
            attack(context, api, foreign, restricted=True)
            page = context.new_page()
            page.goto(f"{origin}/?api={api}")
            page.get_by_text(f"Signed in as {EMAIL}").wait_for()
            passed("a form and scripts of another site end no session")
        # The browser sends this cookie with requests of every site: the service alone refuses them.
        with service(COOKIE_SESSIONS="on", COOKIE_SAME_SITE="none", CORS_ALLOWED_ORIGINS=origin) as api:
            context = chromium.new_context()
            sign_in(context.new_page(), f"{origin}/?api={api}")
            [cookie] = context.cookies()
            assert (cookie["name"], cookie["secure"], cookie["sameSite"]) == ("__Host-session", True, "None"), cookie
            attack(context, api, foreign, restricted=False)
            page = context.new_page()
            page.goto(f"{origin}/?api={api}")
            page.get_by_text(f"Signed in as {EMAIL}").wait_for()
            passed("nor where the browser would send the cookie with all of them")
