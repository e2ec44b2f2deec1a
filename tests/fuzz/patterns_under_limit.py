"""Feeds each reader of foreign texts with long ones, under a limit of processor seconds for each. The test starts it.

Prints the case before it is tried, so that the last line names the one at which the system ended the process.
"""

import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from typing import Any

LENGTH = 50_000
SECONDS = 2

CASES: dict[str, tuple[str, ...]] = {
    "assignments/integration/written_time.py": (
        "2026-01-01",
        "10:00",
        "1.1.26",
        "12345.",
        "2026-01-01, 10:00:00.",
        "10:00 a.m",
    ),
    "assignments/integration/model_host/values.py": ("12 people", "7", "12 pers."),
    "assignments/planning/natural_order.py": ("T1", "1a"),
    "assignments/lifecycle/sentences.py": (
        "The booking project shows it at ",
        "Its guests sit at 1 seats, and are ",
        "Despite ",
    ),
    "rollout/policy/former_words.py": ("Gate soak: hold.",),
    "rollout/reporting/sanitize.py": ("_a_", "`"),
    "rollout/removal/textfiles.py": (
        "* * * * * rollout compare",
        "rollout[ '",
        "- |",
        "[]",
        "LEGACY_PLANNER = '",
        "  - docs/",
    ),
    "rollout/removal/patterns.py": ("planner", "'legacy_", '"tests.legacy_'),
    "rollout/removal/pythonfiles.py": ("rollout-removal: ignore",),
    "rollout/shadow/candidate_environment.py": ("_SECRET", "API_", "redis://:a@b", "password=a"),
    "example/evening.py": ("sep=;", "ref,restaurant,start,party\nB1,R1,19:00,", "1"),
    "example/management/commands/serve.py": ("a.b", "[::1]:80"),
    "assignments/admin/evening/search.py": ("B1", "12 "),
}
"""What begins like something that each module reads."""
FILLERS = (" ", ",", ", ", ".", "1", "a", "_", "'", '"', "[", ", where booking ")


def readers() -> dict[str, Callable[[str], Any]]:
    """What reads foreign texts with a regular expression, by its module."""
    import django

    django.setup()
    from assignments.admin.evening import search
    from assignments.integration import written_time
    from assignments.integration.model_host import values
    from assignments.lifecycle import sentences
    from assignments.planning import natural_order
    from example import evening
    from example.management.commands import serve
    from rollout.policy import former_words
    from rollout.removal import patterns, pythonfiles, textfiles
    from rollout.reporting import sanitize
    from rollout.shadow import candidate_environment

    names = patterns.current()

    def each(*functions: Callable[[str], Any]) -> Callable[[str], None]:
        def ask(text: str) -> None:
            for function in functions:
                with suppress(Exception):
                    function(text)

        return ask

    def lines(text: str) -> None:
        for path in ("notes.md", "crontab", "pyproject.toml"):
            textfiles.traces(path, text, names)
        textfiles.without_element(text, names)

    return {
        "assignments/integration/written_time.py": each(
            written_time.read_clock,
            lambda text: written_time.read_moment(text, date(2026, 1, 1)),
            written_time.read_date,
        ),
        "assignments/integration/model_host/values.py": each(values.covers, values.clock, values.stay, values.number),
        "assignments/planning/natural_order.py": natural_order.natural_key,
        "assignments/lifecycle/sentences.py": sentences.read,
        "rollout/policy/former_words.py": each(
            former_words._GATE.search, lambda text: former_words.evidence({"gate": text, "status": text})
        ),
        "rollout/reporting/sanitize.py": each(sanitize.markdown, sanitize.visible),
        "rollout/removal/textfiles.py": lines,
        "rollout/removal/patterns.py": each(names.mention.search, names.decided.search, names.quoted.search),
        "rollout/removal/pythonfiles.py": pythonfiles.IGNORE.search,
        "rollout/shadow/candidate_environment.py": each(
            candidate_environment._SECRET_NAME.search,
            lambda text: candidate_environment.without_secrets({text: "", "ITS_DSN": text}),
        ),
        "example/evening.py": each(evening.parse_csv, evening.parse_json),
        "example/management/commands/serve.py": each(serve._address),
        "assignments/admin/evening/search.py": search.NUMBERS.findall,
    }


def texts(begin: str) -> Iterator[str]:
    """Long texts that begin so, and then repeat something, with an end that fits or none that does."""
    for filler in (*FILLERS, begin):
        yield begin + filler * (LENGTH // len(filler)) + "!"
        yield filler * (LENGTH // len(filler)) + begin + "!"


def main(only: str) -> None:
    functions = readers()
    assert functions.keys() == CASES.keys()
    for module in [only] if only else CASES:
        for begin in CASES[module]:
            for text in texts(begin):
                print(module, repr(text[:60]), repr(text[-20:]), flush=True)
                used = resource.getrusage(resource.RUSAGE_SELF)
                limit = int(used.ru_utime + used.ru_stime) + 1 + SECONDS
                resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
                functions[module](text)
    print("done")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
