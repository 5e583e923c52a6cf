#!/usr/bin/env python3
"""Runs a command, and fails when a process that it started is still there after it.

tests/leftovers.py COMMAND...
tests/leftovers.py --interrupt PATTERN SIGNAL COMMAND...

The second form sends SIGNAL to the command, and to it alone, as soon as the command line of a
process that it started matches PATTERN, and does not mind how the command ends.

A process whose parent ended becomes a child of this one, by Linux' PR_SET_CHILD_SUBREAPER, so
that none is missed and none of another program's is counted. Elsewhere the command just runs.
"""

import ctypes
import os
import re
import signal
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
# A throw-away PostgreSQL is tidied away by a process that outlives its script for a moment; a slow disk needs a while.
GRACE_SECONDS = 60


def descendants():
    """The living processes below this one, with their command lines."""
    children = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:2]
        except OSError:
            continue
        if state != "Z":
            children.setdefault(int(parent), []).append(int(entry.name))
    found, waiting = {}, [os.getpid()]
    while waiting:
        for pid in children.get(waiting.pop(), []):
            waiting.append(pid)
            try:
                line = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            found[pid] = line.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def reap():
    """The statuses of the children that ended."""
    ended = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = os.waitstatus_to_exitcode(status)


def until_it_ends(command, pattern, number):
    """The command's status, and whether the signal was sent."""
    # The terminal sends Ctrl-C to the command, too; what is left is looked at all the same.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = os.posix_spawnp(command[0], command, os.environ, setsigdef=[signal.SIGINT])
    for other in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, lambda received, _: os.kill(child, received))
    sent = False
    while True:
        ended = reap()
        if child in ended:
            return ended[child], sent
        if pattern and not sent and any(re.search(pattern, line) for line in descendants().values()):
            os.kill(child, number)
            sent = True
        time.sleep(0.05)


def main():
    command, pattern, number = sys.argv[1:], None, None
    if command[:1] == ["--interrupt"]:
        pattern, number, command = command[1], signal.Signals[f"SIG{command[2]}"], command[3:]
    if not command:
        sys.exit(__doc__)
    if not sys.platform.startswith("linux"):
        os.execvp(command[0], command)
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        sys.exit("leftovers: the kernel does not hand orphans over: nothing was run")

    status, sent = until_it_ends(command, pattern, number)
    deadline = time.monotonic() + GRACE_SECONDS
    while (left := descendants()) and time.monotonic() < deadline:
        reap()
        time.sleep(0.1)
    for pid, line in left.items():
        try:
            folder = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            folder = "?"
        print(f"leftovers: {' '.join(command)} left process {pid} in {folder}: {line}", file=sys.stderr)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    if left:
        sys.exit(1)
    if pattern:
        sys.exit(0 if sent else f"leftovers: {' '.join(command)} never started what matches {pattern}")
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
