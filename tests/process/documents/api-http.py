#!/usr/bin/env python3
"""Walks a collection of requests in the format of VS Code's REST Client: api-http.py ADDRESS FILE.

Knows what docs/api.http uses: requests between lines of ###, @name = value, {{name}}, and {{request.response.body.path}}
for a request with a line `# @name request`. Exits 1 when an answer is none of the good ones.
"""

import json
import re
import sys
import time
import urllib.error
import urllib.request


def main(address, path):
    variables, answers, failures = {}, {}, 0

    def fill(text):
        def value(match):
            name = match[1]
            if name == "host":
                return address
            if name in variables:
                return fill(variables[name])
            request, _, inner = name.partition(".response.body.")
            found = answers[request]
            for part in re.findall(r"\w+", inner):
                found = found[int(part)] if part.isdigit() else found[part]
            return found

        return re.sub(r"\{\{([^}]+)\}\}", value, text)

    with open(path, encoding="utf-8") as file:
        blocks = re.split(r"(?m)^###.*$", file.read())
    for block in blocks:
        name, lines = None, []
        for line in block.strip("\n").split("\n"):
            if match := re.match(r"# @name (\w+)", line):
                name = match[1]
            elif match := re.match(r"@(\w+) = (.*)", line):
                variables[match[1]] = match[2]
            elif not line.startswith("#"):
                lines.append(line)
        text = "\n".join(lines).strip()
        if not text:
            continue
        head, _, body = text.partition("\n\n")
        first, *headers = head.split("\n")
        method, url = first.split(" ", 1)
        request = urllib.request.Request(fill(url), method=method, data=fill(body).encode() if body else None)
        for header in headers:
            key, _, value = header.partition(": ")
            request.add_header(key, fill(value))
        status, answer = patient(request)
        print(status, first)
        # The account may be there from README's own commands, and the token of a link comes with a mail.
        is_fine = (
            status < 300
            or (status == 409 and url.endswith("/auth/register"))
            or (status == 422 and json.loads(answer)["code"] == "token_invalid")
        )
        if not is_fine:
            print(answer.decode(), file=sys.stderr)
            failures += 1
        if name:
            answers[name] = json.loads(answer)
    return 1 if failures else 0


def patient(request):
    """Status and body of the answer. One who asks faster than the limits allow waits as long as they say, as a person would."""
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            if error.code != 429:
                return error.code, error.read()
            time.sleep(int(error.headers["Retry-After"]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
