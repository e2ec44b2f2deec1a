"""Processes of the candidate without half a second's start each: forked from one in which Django is ready.

What a test sees of such a process is what it sees of a real one: its own connection, its pipes, and that it can be killed.
Tests of the process itself (``tests/rollout/shadow``) start real ones.
"""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest import mock

OWN = frozenset({"DATABASE_NAME", "PGOPTIONS", "PYTEST_CURRENT_TEST", "RESTAURANT", "TMPDIR"})
"""Variables that a process may have otherwise than the one that it is forked from: nothing has read them yet, or they are
taken over."""
LONGEST_MESSAGE = 65536


class Forked:
    """What the comparator uses of ``subprocess.Popen``, of a forked process."""

    def __init__(self, pid: int, stdin: int, stdout: int) -> None:
        self.pid = pid
        self.stdin = os.fdopen(stdin, "wb", buffering=0)
        self.stdout = os.fdopen(stdout, "rb", buffering=0)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def communicate(self) -> None:
        """Wait for its end."""
        self.stdin.close()
        while self.stdout.read(LONGEST_MESSAGE):
            pass
        self.stdout.close()


class Ready:
    """A process in which Django is ready, and of which others are forked."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.sandboxes", str(other.fileno())], env=variables, pass_fds=[other.fileno()]
        )
        other.close()

    def fork(self, arguments: Sequence[str], variables: Mapping[str, str]) -> Forked:
        stdin, stdout = os.pipe(), os.pipe()
        message = json.dumps([arguments, variables]).encode()
        socket.send_fds(self._socket, [message], [stdin[0], stdout[1]])
        os.close(stdin[0])
        os.close(stdout[1])
        pid = int(self._socket.recv(LONGEST_MESSAGE))
        return Forked(pid, stdin[1], stdout[0])

    def end(self) -> None:
        self._socket.close()
        self._process.wait()


@contextmanager
def forked() -> Iterator[None]:
    """Have the comparator's processes forked."""
    from rollout.shadow import comparator

    ready: dict[str, Ready] = {}

    def popen(arguments: Sequence[str], *, env: Mapping[str, str], **_options: Any) -> Forked:
        own = {name: env[name] for name in OWN if name in env}
        variables = {name: value for name, value in env.items() if name not in OWN}
        key = json.dumps(variables, sort_keys=True)
        if key not in ready:
            ready[key] = Ready(variables)
        return ready[key].fork(arguments[3:], own)

    with mock.patch.object(comparator, "subprocess", SimpleNamespace(Popen=popen, PIPE=subprocess.PIPE)):
        try:
            yield
        finally:
            for each in ready.values():
                each.end()


def import_what_connections_need() -> None:
    """Otherwise each forked process would import it again."""
    from django.db import connection

    if connection.settings_dict["ENGINE"] == "example.embedded":
        from example.embedded import base

        base._package()
        import_module("psutil")


def main(requests: socket.socket) -> None:
    """Fork a process for each request, until nobody asks any more."""
    import django

    gc.disable()
    django.setup()
    from rollout.shadow import sandbox
    from tests.example import forks

    import_what_connections_need()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever asked waits for them, by their pipes
    while True:
        message, descriptors, _flags, _address = socket.recv_fds(requests, LONGEST_MESSAGE, 2)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            requests.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            arguments, variables = json.loads(message)
            forks.use(variables)
            for target, descriptor in enumerate(descriptors):
                os.dup2(descriptor, target)
                os.close(descriptor)
            sys.argv[1:] = arguments
            sandbox.main()
            return
        for descriptor in descriptors:
            os.close(descriptor)
        requests.send(str(pid).encode())


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
