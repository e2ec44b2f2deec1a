"""Commands of manage.py, and Python, in one process of a project: each start takes a second."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DRIVER = """
import contextlib, gc, io, json, os, sys

gc.set_threshold(10_000)

import django
from django.core.management import execute_from_command_line

django.setup()

from assignments.management import supervisor

supervisor.is_wanted = lambda: False  # It would fork this process, and both would go on with what is left.
said, names = [], {}
for step in json.load(sys.stdin):
    out, code = io.StringIO(), 0
    sys.stdin = open(step.get("stdin", os.devnull))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            if "python" in step:
                exec(step["python"], names)
            else:
                execute_from_command_line(["manage.py", *step["manage"]])
        except SystemExit as error:
            code = int(error.code or 0)
    said.append([code, out.getvalue()])
print(json.dumps(said))
"""


def run(
    steps: Sequence[dict[str, Any]], python: str | Path, *, folder: Path, environ: dict[str, str]
) -> list[tuple[int, str]]:
    """The exit code of each step, and what it printed.

    A step is a command ("manage", and the file that it reads: "stdin") or code ("python").
    """
    done = subprocess.run(
        [python, "-c", DRIVER],
        input=json.dumps(steps),
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [(code, printed) for code, printed in json.loads(done.stdout)]
