#!/usr/bin/env python3
"""A collector for measurements: takes OTLP over HTTP, counts bytes, keeps nothing.

usage: collector.py PORT
"""

import http.server
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    exports = 0
    received = 0

    def do_POST(self):
        Handler.received += len(self.rfile.read(int(self.headers["Content-Length"])))
        Handler.exports += 1
        self.reply(b"")

    def do_GET(self):
        self.reply(f"{Handler.exports} exports, {Handler.received} bytes\n".encode())

    def reply(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
