"""What the tests in a real browser share: the service, servers of pages, and the browser."""

import contextlib
import functools
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request

from playwright.sync_api import sync_playwright

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def pages(folder, host):
    """Serves a folder on a free port, and gives the origin."""
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{host}:{server.server_address[1]}"
        server.shutdown()


@contextlib.contextmanager
def service(**settings):
    """Runs the service with these settings on a free port, and gives its origin."""
    program, url = sys.argv[1:3]
    # Links in mails have it, so it is chosen here.
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "APP_ENV": "development",
        "DATABASE_URL": url,
        "HOST": "127.0.0.1",
        "JWT_SECRET_KEY": os.urandom(32).hex(),
        "LOG_FORMAT": "json",
        "PORT": str(port),
        "RATE_LIMIT": "off",
        **settings,
    }
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "serve", "--migrate"]
        running = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
        )
        try:
            address = None
            for line in running.stdout:
                found = re.search(r'"address":"([^"]+)".*"purpose":"public"', line)
                address = found.group(1) if found else address
                if '"message":"ready"' in line:
                    break
            else:
                sys.exit("the service did not start")
            threading.Thread(target=running.stdout.read, daemon=True).start()
            yield address
        finally:
            running.terminate()
            running.wait(30)


def post(url, body):
    """Posts JSON as a program would, and gives the answer."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        text = answer.read()
    return json.loads(text) if text else None


@contextlib.contextmanager
def browser():
    """Debian's Chromium, without a window."""
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    path = os.environ["CHROMIUM"]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=options)
        try:
            yield running
        finally:
            running.close()


def picture(page, name):
    """Keeps what a person sees, where SCREENSHOTS names a folder: light and dark, wide and narrow."""
    folder = os.environ.get("SCREENSHOTS")
    if not folder:
        return
    for scheme in ("light", "dark"):
        for width in (1200, 360):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 800})
            page.wait_for_timeout(200)
            page.screenshot(path=os.path.join(folder, f"{name}-{scheme}-{width}.png"))


def passed(what):
    print(f"ok: {what}", flush=True)
