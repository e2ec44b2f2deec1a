"""Each flow through PgBouncer in transaction mode."""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from django.db import connection

from rollout.models import Comparison
from rollout.policy.verdict import Verdict
from tests import debian
from tests.chaos.enumerated import FAULTS, count_points, judge, prepared, suffer
from tests.chaos.flows import FLOWS
from tests.chaos.result import Result
from tests.chaos.server import free_port
from tests.chaos.settings import through_pooler
from tests.chaos.world import World, put_back

POOLED = "through PgBouncer"


@contextmanager
def pooler(world: World) -> Iterator[str]:
    """A PgBouncer in transaction mode; its address. Settings know it by its port."""
    program = debian.path("pgbouncer")
    assert program is not None
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "users.txt").write_text('"postgres" ""\n')
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\nchaos = host=127.0.0.1 port={world.server.port} dbname=chaos\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\n"
            f"auth_file = {folder}/users.txt\npool_mode = transaction\ndefault_pool_size = 3\nserver_idle_timeout = 1\n"
        )
        as_user = ["-u", "nobody"] if os.getuid() == 0 else []
        with subprocess.Popen([program, *as_user, str(settings)], stderr=subprocess.DEVNULL) as process:
            try:
                for _ in range(100):
                    with socket.socket() as probe:
                        if probe.connect_ex(("127.0.0.1", port)) == 0:
                            break
                    time.sleep(0.05)
                yield str(port)
            finally:
                process.terminate()


def pooled(world: World, fault: str | None) -> Result:
    """Each flow through PgBouncer: whole, or with this fault before the statement in its middle."""
    result = Result(fault=name_of(fault))
    for name, flow in FLOWS.items():
        middle = len(count_points(world, name)) // 2 * 2 if fault else -1
        how = FAULTS[fault or "kill"]
        put_back(prepared(name))
        started = time.monotonic()
        with pooler(world) as port:
            end, wrong = suffer(world, name, how, middle, partial(_go_through, port))
        if not fault and (end.code or flow.wrong() or _failed_comparisons()):
            wrong.append(f"{flow.wrong()} {end.output[-300:]}")
        wrong = [f"{name}: {each}" for each in [*wrong, *judge(flow)]]
        result.add(time.monotonic() - started, wrong, has_met=end.has_met or not fault)
    return result


def _failed_comparisons() -> bool:
    return Comparison.objects.filter(verdict=Verdict.V3_ERROR).exists()


def _go_through(port: str) -> None:
    connection.settings_dict.update(through_pooler(port))
    os.environ["CHAOS_POOLER_PORT"] = port  # For the process in which the candidate is asked.


def name_of(fault: str | None) -> str:
    return f"{POOLED}: {fault or 'whole'}"
