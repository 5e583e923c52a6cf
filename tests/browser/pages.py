"""The documentation in a real browser: it shows what it should, and no policy stops any part of it."""

from common import browser, passed, picture, service


def look(page, url, text, name):
    complaints = []
    page.on("console", lambda line: line.type in ("error", "warning") and complaints.append(line.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
    page.get_by_text(text).locator("visible=true").first.wait_for()
    picture(page, name)
    assert not complaints, complaints
    passed(f"{name} shows {text!r}, and nothing was refused")


with service() as api, browser() as chromium:
    look(chromium.new_page(), f"{api}/docs", "Sign in", "docs")
    look(chromium.new_page(), f"{api}/redoc", "Sign in", "redoc")
