"""The built-in pages that links in mails lead to, in a real browser, with and without scripts."""

import email
import email.policy
import glob
import os
import re
import tempfile
import time

from common import browser, passed, picture, post, service

EMAIL, PASSWORD, NEW = "account@example.com", "marked-password-8", "marked-password-9"


def link_of(folder, template):
    """The link in the mail that was sent last by this template, once it is there."""
    for _ in range(300):
        found = sorted(glob.glob(os.path.join(folder, f"*-{template}-*.eml")))
        if found:
            with open(found[-1], "rb") as file:
                message = email.message_from_binary_file(file, policy=email.policy.default)
            text = message.get_body(("plain",)).get_content()
            return re.search(r"http\S+#token=\S+", text).group(0)
        time.sleep(0.1)
    raise SystemExit(f"there is no mail {template}: {os.listdir(folder)}")


def watch(page):
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: "Content Security Policy" in line.text and complaints.append(line.text))
    return complaints


def follow(context, link, name, wrong, right, done):
    page = context.new_page()
    complaints = watch(page)
    page.goto(link)
    page.get_by_label("assword").wait_for()
    picture(page, f"account-{name}")
    page.get_by_label("assword").fill(wrong)
    page.get_by_role("button", name="Continue").click()
    page.locator("#message.wrong").wait_for()
    picture(page, f"account-{name}-wrong")
    page.get_by_label("assword").fill(right)
    page.keyboard.press("Enter")
    page.get_by_text(done).wait_for()
    assert "token" not in page.url, page.url
    picture(page, f"account-{name}-done")
    assert not complaints, complaints
    passed(f"the page of {name} works, and forgets its token")


with tempfile.TemporaryDirectory() as mail, service(MAIL_FOLDER=mail) as api, browser() as chromium:
    context = chromium.new_context()
    post(f"{api}/auth/register", {"email": EMAIL, "password": PASSWORD})
    verify = link_of(mail, "verify_address")
    follow(context, verify, "verify", "marked-wrong", PASSWORD, "The address is verified.")
    post(f"{api}/auth/password/forgot", {"email": EMAIL})
    reset = link_of(mail, "reset_password")
    follow(context, reset, "reset", "short", NEW, "The password is changed.")
    post(f"{api}/auth/token", {"email": EMAIL, "password": NEW})
    passed("the new password signs in")

    # Only the fragment differs, so the browser loads nothing by itself.
    page = context.new_page()
    page.goto(f"{api}/account/reset#token=first")
    page.get_by_label("assword").wait_for()
    sent = []
    page.on("request", lambda request: request.method == "POST" and sent.append(request.post_data_json["token"]))
    with page.expect_navigation(wait_until="load", url=re.compile("second")):
        page.evaluate("location.hash = '#token=second'")
    page.wait_for_function("performance.getEntriesByType('navigation')[0].type === 'reload'")
    page.get_by_label("assword").fill(NEW)
    page.keyboard.press("Enter")
    page.locator("#message.wrong").wait_for()
    assert sent == ["second"], sent
    passed("another link that is opened in the same tab is the one that counts")

    page = context.new_page()
    page.goto(f"{api}/account/reset")
    page.locator("#message").get_by_text(re.compile(".")).wait_for()
    picture(page, "account-no-token")
    plain = chromium.new_context(java_script_enabled=False).new_page()
    plain.goto(reset)
    plain.locator("noscript p").wait_for(state="visible")
    picture(plain, "account-no-script")
    passed("without a token, and without scripts, the page says so")
