"""Proxies before the server: one loses the answer to a COMMIT, one leads to another server when it is told to.

The COMMIT is carried out, and the client never hears of it.
"""

import mmap
import os
import select
import signal
import socket
import threading
from contextlib import suppress
from types import TracebackType

COMMIT = b"COMMIT\x00"


class Proxy:
    """In a process of its own, for any number of connections. ``number``: of the COMMIT, from 1."""

    def __init__(self, server_port: int, number: int) -> None:
        self._server_port, self._left = server_port, number
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._pid = 0
        self._lost = mmap.mmap(-1, 1)  # Both processes see it.

    def __enter__(self) -> "Proxy":
        self._pid = os.fork()
        if self._pid == 0:
            try:
                while True:
                    client = self._listening.accept()[0]
                    threading.Thread(target=self._carry, args=(client,), daemon=True).start()
            finally:
                os._exit(0)
        self._listening.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    @property
    def has_lost(self) -> bool:
        return self._lost[0] == 1

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._server_port)) as server:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    said = ready.recv(65536)
                    if not said:
                        return
                    (server if ready is client else client).sendall(said)
                    if ready is client and COMMIT in said:
                        self._left -= 1
                        if self._left == 0:
                            server.recv(65536)  # It is carried out now.
                            self._lost[0] = 1
                            return


class Gateway:
    """In a process of its own: the one address of a database that is served now by this server, now by that one."""

    def __init__(self, server_port: int) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listening.getsockname()[1])
        self._pid = 0
        self._target = mmap.mmap(-1, 2)  # Both processes see it.
        self.lead_to(server_port)

    def lead_to(self, server_port: int) -> None:
        """Have new connections go to this server."""
        self._target[:] = server_port.to_bytes(2, "big")

    def __enter__(self) -> "Gateway":
        self._pid = os.fork()
        if self._pid == 0:
            try:
                while True:
                    client = self._listening.accept()[0]
                    threading.Thread(target=self._carry, args=(client,), daemon=True).start()
            finally:
                os._exit(0)
        self._listening.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def _carry(self, client: socket.socket) -> None:
        target = int.from_bytes(self._target[:], "big")
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", target)) as server:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    said = ready.recv(65536)
                    if not said:
                        return
                    (server if ready is client else client).sendall(said)
