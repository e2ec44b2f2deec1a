"""Following README.md in a booking project that has nothing of ours yet: every block and every phrase in code, in order.

A block or a phrase that this module does not know is an error, so that nothing is printed there that nobody runs.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management import call_command

from tests.docs.document import in_a_shell
from tests.packaging import one_process

README = Path(__file__).resolve().parents[2] / "README.md"
SECTIONS = ("V3 alone", "Replace a planner")
"""Those for a project of one's own. The other sections are about the demo's database: tests/docs/test_readme.py."""
APP, SITE = "booking", "site_of_ours"
MODELS = """
from django.db import models


class Table(models.Model):
    name = models.CharField(max_length=10)
    seats = models.IntegerField()


class Booking(models.Model):
    starts_at = models.DateTimeField()
    covers = models.IntegerField()
    status = models.CharField(
        max_length=10, choices=[(each, each) for each in ("pending", "confirmed", "cancelled")], default="pending"
    )
    tables = models.ManyToManyField(Table, blank=True)
"""
DATABASE = """
import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["DATABASE_NAME"],
        "HOST": os.environ["DATABASE_HOST"],
        "USER": os.environ["DATABASE_USER"],
    }
}
INSTALLED_APPS += ["booking"]
"""
ROWS = """
from datetime import datetime, time, timedelta

from booking.models import Booking, Table
from django.utils import timezone

seven = timezone.make_aware(datetime.combine(timezone.localdate() + timedelta(days=2), time(19)))
if not Table.objects.exists():
    for number, seats in enumerate((2, 4, 6), 1):
        Table.objects.create(name=f"T{number}", seats=seats)
"""
SEATED = """
from booking.models import Booking

assert Booking.objects.get().status == "confirmed"
assert Booking.objects.get().tables.get().seats == 2
print("a pass has seated the booking")
"""
FOLLOWED = """
from assignments.models import Assignment

booking.status = "cancelled"
booking.save()
assert Assignment.objects.get(booking_ref=str(booking.pk)).state == "cancelled"
seen = Booking.objects.get(status="confirmed")
ref = str(seen.pk)
seen.covers = 6
seen.save()
assert seen.tables.get().seats == 6
seen.delete()
assert Assignment.objects.get(booking_ref=ref).state == "cancelled"
"""
LEGACY = """
from assignments import api
from assignments.models import Assignment

late = Booking.objects.create(starts_at=seven + timedelta(days=1), covers=2)
assert api.assign_now(booking_ref=str(late.pk), budget_seconds=1.0).kind == "confirmed"
assert Assignment.objects.get(booking_ref=str(late.pk)).planner == "legacy"
"""
ANSWERS = """
from django.contrib.auth.models import User
from django.test import Client

client = Client(headers={{"host": "localhost"}})
print(client.get("{url}").status_code)
client.force_login(User.objects.get_or_create(username="boss", is_staff=True, is_superuser=True)[0])
print(client.get("{url}").status_code)
"""
NOT_RUN = {
    'pip install . "psycopg[binary]"': "it builds what the other command downloads",
    "assignments": "no command: it says where `api` is from",
    "python manage.py rollout backtest --file example/data/demo_evening.json": "a project has no such file",
    "ASSIGNMENT_PIPELINE_KILL=1": "tests/rollout/flags has what it does",
}
"""What is left out, and why."""

_PIECE = re.compile(
    r"^```(?P<kind>\w*)\n(?P<block>.*?)^```$|(?<!`)`(?P<phrase>[^`\n]+)`(?!`)", re.MULTILINE | re.DOTALL
)


def pieces(section: str) -> Iterator[tuple[str, str]]:
    """The blocks of a section with their kinds, and its phrases in code, in order."""
    text = README.read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    for found in _PIECE.finditer(text):
        yield ("phrase", found["phrase"]) if found["phrase"] else (found["kind"], found["block"])


def attributes(source: str) -> dict[str, Any]:
    """What the host class in this source sets."""
    names: dict[str, Any] = {"__name__": f"{APP}.host"}
    exec(source, names)
    return {name: value for name, value in vars(names["BookingHost"]).items() if not name.startswith("_")}


class Follower:
    """Somebody who does what the README says, in an empty folder, with the Python in which the wheel is."""

    def __init__(self, folder: Path, python: Path, environ: dict[str, str]) -> None:
        self._folder, self._python = folder, python
        self._environ = {**environ, "DJANGO_SETTINGS_MODULE": f"{SITE}.settings"}
        self._steps: list[dict[str, Any]] = []
        self._with_rollout = self._cron_has_run = False
        self.printed: dict[str, list[str]] = {}
        """What each command and phrase has printed, each time."""
        call_command("startproject", SITE, str(folder))
        self._settings = folder / SITE / "settings.py"
        (folder / APP / "migrations").mkdir(parents=True)
        for name in ("__init__.py", "migrations/__init__.py"):
            (folder / APP / name).touch()
        (folder / APP / "models.py").write_text(MODELS)
        (folder / ".venv").symlink_to(python.parent.parent)
        self._add(self._settings, DATABASE)

    def follow(self) -> None:
        """Do all of it."""
        for section in SECTIONS:
            for kind, text in pieces(section):
                self.do(kind, text)
            self.catch_up()

    def do(self, kind: str, text: str) -> None:
        """Do what this block or phrase says. Raises AssertionError for one that is not known."""
        match kind:
            case "python":
                self._python_block(text)
            case "cron":
                self._cron(text)
            case "sh":
                self._sh(text)
            case "phrase":
                self._phrase(text)
            case _:
                raise AssertionError(f"The README has a block that nobody runs:\n{text}")

    # Kinds of pieces

    def _python_block(self, text: str) -> None:
        first, _newline, block = text.partition("\n")
        if first.startswith("# settings.py"):
            self.catch_up()
            self._add(self._settings, block)
            self._with_rollout = "rollout" in block
        else:
            assert first == f"# {APP}/host.py", f"The README has a block of Python that nobody runs:\n{text}"
            self.catch_up()
            path = self._folder / APP / "host.py"
            self.scaffolded, self.host = path.read_text(), text
            path.write_text(text)

    def _cron(self, text: str) -> None:
        """The first line as cron runs it. The others differ in the command alone, which is run with the rest."""
        for line in text.splitlines():
            job = line.split(maxsplit=5)[5].partition("#")[0].strip()
            before, manage, command = job.partition("manage.py ")
            assert before == "cd /srv/booking && .venv/bin/python ", line
            if self._cron_has_run:
                self.manage(job)
                continue
            self._cron_has_run = True
            self.catch_up()
            job = before.replace("/srv/booking", str(self._folder)) + manage + command
            code, printed = in_a_shell(job, folder=Path("/"), environ={**self._environ, "PATH": "/usr/bin:/bin"})
            assert code == 0, f"{job}\n{printed}"
            self.printed[command] = [printed]

    def _sh(self, text: str) -> None:
        """What is refused on the demo's database, which has been through it, is done here."""
        for line in text.splitlines():
            command = line.partition("#")[0].strip()
            if command not in NOT_RUN:
                self.manage(command)

    def _phrase(self, text: str) -> None:
        match text.split(maxsplit=1)[0].partition("(")[0]:
            case "pip":
                if text not in NOT_RUN:  # The wheel has been installed, instead of what the index has.
                    assert shlex.split(text)[2:] == ["table-assignments", "psycopg[binary]"]
            case "python" | "manage.py":
                self._manage_phrase(text)
            case "path":
                self._url = text
            case "from":
                self._add(self._folder / SITE / "urls.py", f"{text}\nurlpatterns += [{self._url}]\n")
            case "/metrics" | "/health/":
                self.python(ANSWERS.format(url=text), name=text)
            case "api.assign_now":
                self.python(SEATED)
                call = f"from assignments import api\nprint({text})\n"
                self.python(f"{ROWS}booking = Booking.objects.create(starts_at=seven, covers=4)\n{call}", name=text)
                self.python(FOLLOWED)
            case _:
                assert text in NOT_RUN, f"The README has code that nobody runs: {text}"

    def _manage_phrase(self, text: str) -> None:
        name = text.partition("manage.py ")[2].split(maxsplit=1)[0]
        if name == "migrate" and name not in self.printed:
            self.manage(f"manage.py makemigrations {APP}")
        self.manage(text, code=1 if name == "inspect_host" else 0)
        if name == "check" and self._with_rollout:
            self.python(f"{ROWS}{LEGACY}")
        if name == "inspect_host":  # There was no booking to try.
            self.python(f"{ROWS}Booking.objects.create(starts_at=seven, covers=2)\n")
            self.manage(text)

    # What is done in one process

    def manage(self, command: str, *, code: int = 0) -> None:
        """Have this command run with the others; it is to exit with this code."""
        words = shlex.split(command.partition("manage.py ")[2])
        self._steps.append({"manage": words, "name": " ".join(words), "code": code})

    def python(self, text: str, *, name: str = "") -> None:
        """Have this run with the commands."""
        self._steps.append({"python": text, "name": name or text, "code": 0})

    def catch_up(self) -> None:
        """Run what has come together."""
        if not self._steps:
            return
        said = one_process.run(self._steps, self._python, folder=self._folder, environ=self._environ)
        for step, (code, printed) in zip(self._steps, said, strict=True):
            assert code == step["code"], f"{step['name']}\nexits with {code}\n{printed}"
            self.printed.setdefault(step["name"], []).append(printed)
        self._steps = []

    @staticmethod
    def _add(path: Path, text: str) -> None:
        with path.open("a") as file:
            file.write(f"\n{text}")
