"""Each setting that names a class or function, with everything that can be wrong with one: one finding, and no traceback."""

import sys
from pathlib import Path
from typing import Any

import pytest
from django.core import checks

pytestmark = pytest.mark.django_db

ALL = {"EVENT_SINKS": ("assignments.telemetry.events.MemorySink",)}
ANYTHING = "lambda *given, **named: {}"
METHODS = {
    "HOST": "class Thing(assignments.testing.MemoryHost):\n    pass",
    "ROUTER": "class Thing(assignments.integration.planners.SoleRouter):\n    pass",
    "EVENT_SINKS": "class Thing(assignments.telemetry.events.MemorySink):\n    pass",
    "LEGACY_PLANNER": f"class Thing:\n    key = 'old'\n    process = preview = decided = judge = {ANYTHING}",
    "TASKS": "def Thing(*, restaurant_ref, service_date): ...",
    "CANDIDATE": "def Thing(snapshot): ...",
}
"""What is right for each setting."""
IMPORTS = "import assignments.integration.planners, assignments.telemetry.events, assignments.testing\n"
CLASSES = ("HOST", "ROUTER", "EVENT_SINKS", "LEGACY_PLANNER")
OF_ANY = {
    "its module does not exist": None,
    "its module raises": "1 / 0",
    "its module cannot be read": "def (",
    "its module lacks it": "",
    "it is a number": "Thing = 3",
    "it is a module": "import os.path as Thing",
}
OF_A_CLASS = {
    "it is a function": "def Thing(): ...",
    "it lacks all methods": "class Thing: ...",
    "it wants an argument": "{right}\n    def __init__(self, one): ...",
    "it raises when it is created": "{right}\n    def __init__(self): raise OSError('Canary Guest')",
}
OF_ONE = {
    ("HOST", "its check raises"): "{right}\n    def check(self): raise OSError('Canary Guest')",
    ("HOST", "its check returns None"): "{right}\n    def check(self): return None",
    ("HOST", "its check returns texts"): "{right}\n    def check(self): return ['all is well']",
    ("HOST", "its attributes raise"): "{right}\n    @property\n    def on_moved(self): raise OSError('Canary Guest')",
    ("HOST", "a method has other parameters"): "{right}\n    def floor(self): ...",
    ("ROUTER", "a method has other parameters"): "{right}\n    def route(self): ...",
    ("ROUTER", "its check raises"): "{right}\n    def check(self): raise OSError('Canary Guest')",
    ("EVENT_SINKS", "a method has other parameters"): "{right}\n    def write(self): ...",
    ("LEGACY_PLANNER", "it has no key"): f"class Thing:\n    process = preview = decided = judge = {ANYTHING}",
    ("LEGACY_PLANNER", "it has the key of V3"): "{right}\n    key = 'v3'",
    ("TASKS", "it has other parameters"): "def Thing(day): ...",
    ("CANDIDATE", "it has other parameters"): "def Thing(): ...",
}
ASKED = {
    ("HOST", "it raises for an unknown booking"): (
        "assignments.E005",
        "{right}\n    def bookings(self, refs, *, lock=False): raise OSError('Canary Guest')",
    ),
    ("HOST", "it returns no mapping"): (
        "assignments.E005",
        "{right}\n    def bookings(self, refs, *, lock=False): return None",
    ),
    ("HOST", "it raises for all bookings"): (
        "assignments.E012",
        "{right}\n    def history(self, **given): raise OSError('Canary Guest')",
    ),
    ("ROUTER", "it raises"): (
        "assignments.E015",
        "{right}\n    def route(self, assignments): raise OSError('Canary Guest')",
    ),
    ("ROUTER", "it returns None"): ("assignments.E015", "{right}\n    def route(self, assignments): return None"),
    ("ROUTER", "it leaves the booking out"): (
        "assignments.E015",
        "{right}\n    def route(self, assignments): return {}",
    ),
    ("ROUTER", "it returns texts"): (
        "assignments.E015",
        "{right}\n    def route(self, assignments): return {each.booking_ref: 'v3' for each in assignments}",
    ),
    ("ROUTER", "it names a planner that it does not have"): (
        "assignments.E015",
        "{right}\n    def route(self, assignments):\n        old = assignments.integration.planners.Route(planner='old')\n"
        "        return {each.booking_ref: old for each in assignments}",
    ),
}
"""What shows when it is asked, with ``check --database default``."""
FAULTS = [
    *((name, fault, source) for name in METHODS for fault, source in OF_ANY.items()),
    *((name, fault, source) for name in CLASSES for fault, source in OF_A_CLASS.items()),
    *((name, fault, source) for (name, fault), source in OF_ONE.items()),
]


@pytest.fixture
def give(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write the module with a thing, and name it in a setting; the other settings are right."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def given(name: str, source: str | None) -> None:
        monkeypatch.delitem(sys.modules, "broken_thing", raising=False)
        if source is not None:
            right = METHODS[name].removesuffix("    pass")
            (tmp_path / "broken_thing.py").write_text(IMPORTS + source.replace("{right}", right) + "\n")
        path = "broken_thing.Thing"
        of_rollout = name in {"LEGACY_PLANNER", "CANDIDATE"}
        host = {
            "HOST": "assignments.testing.MemoryHost",
            "ROUTER": "assignments.integration.planners.SoleRouter",
            **ALL,
        }
        settings.ASSIGNMENTS = host if of_rollout else {**host, name: (path,) if name == "EVENT_SINKS" else path}
        settings.ROLLOUT = {"ENVIRONMENT": "dev", "ENVIRONMENT_VARIABLES": {}, **({name: path} if of_rollout else {})}

    return given


def found(**options: Any) -> list[checks.CheckMessage]:
    every = checks.run_checks(**options)
    return [each for each in every if (each.id or "").startswith(("assignments.", "rollout."))]


@pytest.mark.parametrize("name", METHODS)
def test_what_is_right_is_accepted(name: str, give: Any) -> None:
    give(name, METHODS[name])
    assert found(databases=["default"]) == []


@pytest.mark.parametrize(("name", "fault", "source"), FAULTS, ids=lambda each: each if each in METHODS else None)
def test_whatever_is_wrong_with_what_a_setting_names_is_one_finding(
    name: str, fault: str, source: str | None, give: Any
) -> None:
    give(name, source)
    told, *others = found()
    assert others == [], told
    assert told.is_serious(), fault
    assert told.id in {"assignments.E002", "assignments.E003", "rollout.E003", "rollout.E010"}
    assert f"'{name}'" in told.msg
    assert told.hint
    assert "Canary" not in told.msg


@pytest.mark.parametrize(("name", "fault"), ASKED)
def test_whatever_it_does_wrong_when_it_is_asked_is_one_finding(name: str, fault: str, give: Any) -> None:
    id_, source = ASKED[name, fault]
    give(name, source)
    told, *others = found(databases=["default"])
    assert others == [], told
    assert (told.id, told.is_serious()) == (id_, True), fault
    assert told.hint
    assert "Canary" not in told.msg
