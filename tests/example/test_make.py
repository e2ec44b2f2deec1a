"""The Makefile: it sets up quietly what a target needs, and ``make shell`` is a shell with the project's models."""

import subprocess
from pathlib import Path

import pytest

from tests.example import processes

PROJECT = Path(__file__).resolve().parents[2]
PYTHON = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip "*) echo "what pip says in spite of -qq" ;;
    "manage.py "*) echo "a shell" ;;
esac
"""
"""Stands for Python: notes how it is called."""


def test_a_target_installs_first_and_says_nothing_but_what_it_does(tmp_path: Path) -> None:
    python, calls, venv = tmp_path / "python", tmp_path / "calls", tmp_path / "venv"
    python.write_text(PYTHON)
    python.chmod(0o755)

    def make() -> subprocess.CompletedProcess[str]:
        calls.write_text("")
        return subprocess.run(
            ["make", "shell", f"PYTHON={python}", f"VENV={venv}", "ARGS=-c 'print(1)'"],
            cwd=PROJECT,
            env={"PATH": "/usr/bin:/bin", "CALLS": str(calls)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    done = make()
    assert done.stdout == "a shell\n"
    assert done.stderr.splitlines() == [
        f"Creating {venv} and installing the requirements.",
        "what pip says in spite of -qq",
    ]
    _version, made, installed, shell = calls.read_text().splitlines()
    assert made == f"-m venv {venv}"
    assert installed == "-m pip install -qq --disable-pip-version-check --requirement requirements.txt"
    assert shell == "manage.py shell -c print(1)"
    again = make()
    assert (again.stdout, again.stderr, calls.read_text()) == ("a shell\n", "", "manage.py shell -c print(1)\n")


@pytest.mark.django_db
def test_the_shell_has_the_models_of_all_apps_at_hand() -> None:
    names = "Restaurant.__module__, Assignment.__module__, Comparison.__module__"
    code, out, err = processes.run_here("shell", "-c", f"print({names})")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "example.models assignments.models.assignment rollout.models"
