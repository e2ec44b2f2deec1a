"""The tests' PostgreSQL: the embedded one, in memory where there is room, and there without what protects from a power cut.

Import it before a connection is made. Processes that a test starts inherit the variable, and reach the same server.
"""

import hashlib
import os
import shutil
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
MEMORY = Path("/dev/shm")
NEEDED_BYTES = 2 * 1024**3
DATA = MEMORY / f"table-assignments-{hashlib.sha256(str(PROJECT).encode()).hexdigest()[:12]}"
"""One for each checkout; ``make clean`` removes it. A folder that a crashed run left is used again."""

VARIABLE = "EMBEDDED_POSTGRES_DATA"
OPTIONS = {"fsync": "off", "full_page_writes": "off", "jit": "off", "max_wal_size": "256MB"}
"""Commits stay synchronous: tests of failures count on what is committed."""


def options() -> dict[str, str]:
    """The server's options, and the variable that says where its data is; none where there is no room in memory.

    A place that the developer has chosen is left as it is, and so is its server.
    """
    if not os.environ.get(VARIABLE) and _has_room():
        os.environ[VARIABLE] = str(DATA)
    return OPTIONS if os.environ.get(VARIABLE) == str(DATA) else {}


def _has_room() -> bool:
    if DATA.exists():
        return True
    try:
        return os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= NEEDED_BYTES
    except OSError:
        return False
