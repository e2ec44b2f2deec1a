"""Processes of ``manage.py`` without a second's start each: forked from one in which Django is ready.

What a test sees of such a process is what it sees of a real one: its exit code, its pipes, signals, connections of its own,
and the end of an interpreter. A process is ready for one set of variables, from its settings' import on.
"""

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO

PROJECT = Path(__file__).resolve().parents[2]
OWN = frozenset({"PYTEST_CURRENT_TEST", "DATABASE_NAME", "HOME", "TMPDIR"})
"""Variables that a process may have otherwise than the one that it is forked from: nothing has read them yet, or they are
taken over."""
LONGEST_MESSAGE = 65536


class Forked:
    """What tests use of ``subprocess.Popen``, of a forked process."""

    def __init__(self, pid: int, stdout: int, stderr: int, end: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout: IO[str] = os.fdopen(stdout)
        self.stderr: IO[str] = os.fdopen(stderr)
        self._end = end

    def poll(self) -> int | None:
        """Return the exit code, as ``Popen`` counts it; None while the process runs."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end. Raises subprocess.TimeoutExpired."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("manage.py", timeout or 0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Return what it writes until it ends. Raises subprocess.TimeoutExpired."""
        texts = ["", ""]

        def read(index: int, stream: IO[str]) -> None:
            with stream:
                texts[index] = stream.read()

        until = None if timeout is None else time.monotonic() + timeout
        readers = [
            threading.Thread(target=read, args=each, daemon=True) for each in enumerate((self.stdout, self.stderr))
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(None if until is None else max(0, until - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired("manage.py", timeout or 0)
        self.wait(None if until is None else max(0, until - time.monotonic()))
        return texts[0], texts[1]

    def send_signal(self, number: int) -> None:
        """Send it, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._end], [], [], timeout)[0]:
            self.returncode = int(os.read(self._end, LONGEST_MESSAGE) or -signal.SIGKILL)
            os.close(self._end)
        return self.returncode


class Ready:
    """A process in which Django is ready, and of which others are forked."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.example.forks", str(other.fileno())],
            cwd=PROJECT,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # no terminal: what is written there waits for the end, as in a pipe
            stderr=subprocess.DEVNULL,  # whoever is forked before Django is ready says why it cannot be
            pass_fds=[other.fileno()],
        )
        other.close()
        self.works = bool(self._socket.recv(LONGEST_MESSAGE))

    def fork(self, arguments: Sequence[str], variables: Mapping[str, str]) -> Forked:
        pipes = [os.pipe() for _ in range(3)]
        with self._lock:
            message = json.dumps([arguments, variables]).encode()
            socket.send_fds(self._socket, [message], [written for _read, written in pipes])
            pid = int(self._socket.recv(LONGEST_MESSAGE))
        for _read, written in pipes:
            os.close(written)
        return Forked(pid, *(read for read, _written in pipes))

    def end(self) -> None:
        self._socket.close()
        self._process.wait()


_ready: dict[str, Ready] = {}
_lock = threading.Lock()


def start(arguments: Sequence[str], variables: Mapping[str, str]) -> Forked | None:
    """``manage.py`` with these arguments and variables; None where Django does not get ready under these."""
    shared = {name: value for name, value in variables.items() if name not in OWN}
    own = {name: variables[name] for name in OWN if name in variables}
    key = json.dumps(shared, sort_keys=True)
    with _lock:
        if key not in _ready:
            _ready[key] = Ready(shared)
            atexit.register(_ready[key].end)
        ready = _ready[key]
    return ready.fork(arguments, own) if ready.works else None


def main(requests: socket.socket) -> None:
    """Fork a process for each request, until nobody asks any more."""
    import django

    gc.disable()
    django.setup()
    from django.core.management import execute_from_command_line
    from django.urls import get_resolver

    from tests.sandboxes import import_what_connections_need

    assert get_resolver().url_patterns  # what the system checks import, before most commands
    import_module("rich.table")  # what most commands print with
    import_what_connections_need()
    gc.collect()
    gc.freeze()  # the forked ones share it, and need not go through it
    gc.set_threshold(10_000)  # as manage.py does
    gc.enable()
    requests.send(b"ready")
    command = _fork_on_request(requests)
    if command is not None:
        execute_from_command_line(command)


def _fork_on_request(requests: socket.socket) -> list[str] | None:
    """Return the command in each forked process, and None in this one at its end."""
    wakes, woken = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    ends: dict[int, int] = {}
    while True:
        can_be_read, _, _ = select.select([requests.fileno(), wakes], [], [])
        if wakes in can_be_read:
            os.read(wakes, LONGEST_MESSAGE)
            _tell(ends)
        if requests.fileno() not in can_be_read:
            continue
        message, descriptors, _flags, _address = socket.recv_fds(requests, LONGEST_MESSAGE, 3)
        if not message:
            return None
        stdout, stderr, end = descriptors
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (wakes, woken, end, *ends.values()):
                os.close(descriptor)
            requests.close()
            for target, descriptor in ((1, stdout), (2, stderr)):
                os.dup2(descriptor, target)
                os.close(descriptor)
            arguments, variables = json.loads(message)
            use(variables)
            sys.argv = ["manage.py", *arguments]
            return sys.argv
        os.close(stdout)
        os.close(stderr)
        ends[pid] = end
        requests.send(str(pid).encode())


def _tell(ends: dict[int, int]) -> None:
    """Tell those who wait for processes that these have ended."""
    while ends:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        end = ends.pop(pid)
        os.write(end, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(end)


def use(variables: Mapping[str, str]) -> None:
    """Take over the variables that the settings have read otherwise."""
    from django.conf import settings
    from django.db import connections

    os.environ.update(variables)
    tempfile.tempdir = None
    name = variables.get("DATABASE_NAME")
    if name:
        settings.DATABASES["default"]["NAME"] = name
        connections.settings["default"]["NAME"] = name


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
