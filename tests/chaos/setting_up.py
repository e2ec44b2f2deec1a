"""A server for this process and its children, and Django on it."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django
from django.core.management import call_command

from tests.chaos.server import Server

PROJECT = Path(__file__).resolve().parents[2]
STATE = PROJECT / ".chaos"
TOLD = "CHAOS_TOLD"
"""The variable that names the file in which each delivery is noted."""
DIES_EVERY = "CHAOS_DIES_EVERY"
"""The variable that has the process die after each delivery whose number it divides, before that is recorded."""


@contextmanager
def set_up(state: Path) -> Iterator[Server]:
    """Start the server whose data is in this folder, and migrate. Models are imported afterwards."""
    state.mkdir(parents=True, exist_ok=True)
    server = Server(state / "postgres")
    server.start()
    os.environ.update(DATABASE_URL=server.url, DJANGO_SETTINGS_MODULE="tests.chaos.settings", PYTHONPATH=str(PROJECT))
    os.environ.pop("DATABASE_NAME", None)
    try:
        django.setup()
        logging.disable(logging.CRITICAL)
        call_command("migrate", verbosity=0)
        yield server
    finally:
        from django.db import connections

        connections.close_all()
        server.stop("immediate")
