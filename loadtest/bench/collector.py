#!/usr/bin/env python3
"""A collector for measurements: takes OTLP over HTTP, counts bytes, keeps nothing.

usage: collector.py PORT

It answers an export, and one of another media type, as Jaeger 2.13 does (asked by curl). It takes gzip, and unpacks nothing.
"""

import http.server
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    exports = 0
    received = 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Type"] != "application/x-protobuf":
            return self.reply(b"", 415)
        Handler.received += len(body)
        Handler.exports += 1
        # An ExportTraceServiceResponse whose partial success is empty.
        self.reply(b"\x0a\x00", kind="application/x-protobuf")

    def do_GET(self):
        self.reply(f"{Handler.exports} exports, {Handler.received} bytes\n".encode())

    def reply(self, body, status=200, kind="text/plain"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
