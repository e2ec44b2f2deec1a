"""A clock that says another time: a library that is preloaded into this process's children."""

import os
import subprocess
from pathlib import Path

AHEAD = "CLOCK_AHEAD"
PRELOADED = "LD_PRELOAD"


def build(folder: Path) -> Path:
    """Compile the library into the folder. Raises OSError and subprocess.CalledProcessError."""
    library = folder / "ahead.so"
    source = Path(__file__).with_name("ahead.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
    return library


def variables(library: Path, ahead: int) -> dict[str, str]:
    """The variables with which a process's clock is this many seconds ahead."""
    return {AHEAD: str(ahead), PRELOADED: str(library)}


def inherited() -> dict[str, str]:
    """What a process with variables of its own needs to have this one's clock."""
    return {name: os.environ[name] for name in (AHEAD, PRELOADED) if AHEAD in os.environ and name in os.environ}
