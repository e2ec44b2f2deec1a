"""Measure how many bookings per second several workers decide: ``python -m tests.throughput [--against COMMIT]``.

Each number of workers decides the same real evenings, in a database made anew, until nothing is due. It prints bookings per
second, the CPU of each booking in planning, in the rest of Python and in PostgreSQL, and the rate of the same statements as
bare SQL. A refused booking that comes due again meanwhile is decided again, and still counts once; how many decisions there
were for each booking stands beside it.

``--against`` measures another commit too, alternately, in a temporary worktree. So this file runs on its own in old trees:
it imports nothing of ``tests``, and knows where modules were before.
"""

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
WORKERS = (1, 2, 4, 8)
EVENINGS = 40
DATABASE_SUFFIX = "_throughput"
COMMIT = "COMMIT"
"""Stands for a commit among the recorded statements."""
DAYS_AHEAD = 45


class UnknownCommitError(Exception):
    """Raised for a commit that is not in this clone."""


def known(commit: str, *, root: Path = HERE.parents[1]) -> str:
    """Return the full id of ``commit``. Raises UnknownCommitError, naming the oldest commit that could be taken instead."""
    found = _git(root, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    if found.returncode == 0:
        return found.stdout.strip()
    oldest = _git(root, "rev-list", "--max-parents=0", "HEAD").stdout.split()
    instead = f" The oldest one is {oldest[-1][:12]}." if oldest else ""
    raise UnknownCommitError(f"There is no commit {commit!r} in this clone.{instead}")


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """Check ``commit`` out in a temporary worktree, which is removed at the end."""
    root = HERE.parents[1]
    with tempfile.TemporaryDirectory(prefix="throughput-") as folder:
        tree = Path(folder) / "tree"
        added = _git(root, "worktree", "add", "--detach", str(tree), commit)
        if added.returncode:
            raise UnknownCommitError(added.stderr.strip())
        try:
            yield tree
        finally:
            _git(root, "worktree", "remove", "--force", str(tree))


def measure_in(tree: Path, *, workers: int, evenings: int, bare: bool) -> dict[str, Any]:
    """Measure with the code of ``tree``."""
    numbers = ["--measure", str(workers), "--evenings", str(evenings)]
    answer: dict[str, Any] = answer_of(tree, HERE, *numbers, *(["--bare"] if bare else []))
    return answer


def answer_of(tree: Path, script: Path, *arguments: str) -> Any:
    """Run a script in a process of its own, with the code of ``tree``, and return the JSON of its last line."""
    # As in production: where DEBUG is on, Django logs each statement.
    settings = {"PYTHONPATH": str(tree), "DJANGO_SETTINGS_MODULE": "example.settings", "DEBUG": "false"}
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=tree,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def compare(*, workers: Sequence[int], evenings: int, against: str | None) -> None:
    """Measure each number of workers, here and at the other commit in turn, and print."""
    if against is None:
        _print_all([("here", HERE.parents[1])], workers, evenings)
        return
    commit = known(against)
    with worktree(commit) as tree:
        _print_all([(commit[:9], tree), ("here", HERE.parents[1])], workers, evenings)


def _print_all(trees: Sequence[tuple[str, Path]], workers: Sequence[int], evenings: int) -> None:
    print(f"{'':10} workers bookings/s  decisions each  CPU ms per booking: planning  Python  PostgreSQL")
    rates: dict[tuple[str, int], float] = {}
    for count in workers:
        for name, tree in trees:
            found = measure_in(tree, workers=count, evenings=evenings, bare=count == 1)
            rates[name, count] = found["rate"]
            server = f"{found['server_ms']:11.2f}" if found["server_ms"] is not None else f"{'?':>11}"
            print(
                f"{name:10} {count:7} {found['rate']:10.0f} {found['decisions']:15.2f} {found['planning_ms']:29.2f} "
                f"{found['python_ms']:7.2f} {server}",
                flush=True,
            )
            if "bare_rate" in found:
                statements = f"{found['statements']} statements, {found['failed']} of them refused"
                print(f"{name:10} the same as bare SQL {found['bare_rate']:.0f} bookings/s ({statements})", flush=True)
        if len(trees) == 2:
            print(
                f"{'':10} {count:7} a factor of {rates[trees[1][0], count] / rates[trees[0][0], count]:.2f}", flush=True
            )


# What runs in the tree that is measured


def _module(*names: str) -> Any:
    """Return the first of these modules that there is."""
    for name in names[:-1]:
        with suppress(ModuleNotFoundError):
            return importlib.import_module(name)
    return importlib.import_module(names[-1])


def new_database(suffix: str, *, template: str | None = None) -> None:
    """Create a database named like the configured one with this suffix, and use it from now on."""
    from django.db import connection

    connection.ensure_connection()
    base = str(connection.settings_dict["NAME"]).removesuffix(DATABASE_SUFFIX)
    quote = connection.ops.quote_name
    connection.close()
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {quote(base + suffix)} WITH (FORCE)")
        copied = f" TEMPLATE {quote(template)}" if template else ""
        cursor.execute(f"CREATE DATABASE {quote(base + suffix)}{copied}")
    connection.settings_dict["NAME"] = base + suffix


def load(evenings: int) -> int:
    """Load the evenings and take them in. Returns the number of bookings that wait."""
    from django.core.management import call_command
    from waffle.models import Switch

    from example import demo, evening

    call_command("migrate", verbosity=0)
    flags = _module("rollout.flags.resolution", "rollout.flags")
    Switch.objects.update_or_create(name=flags.V3_SWITCH, defaults={"active": True})
    ahead, text = datetime.now(UTC) + timedelta(days=DAYS_AHEAD), demo.REAL_EVENING.read_text()
    parse = getattr(evening, "parse_json_ahead", None)
    source = parse(text, ahead) if parse else demo.moved_to_coming_day(text, ahead.date())  # type: ignore[attr-defined]
    for number in range(evenings):
        evening.store(replace(source, name=f"Throughput {number}"))
    dispatch = _module("assignments.coordination.dispatch", "assignments.dispatch")
    (getattr(dispatch, "register_new", None) or dispatch.take_in)()
    return int(dispatch.count_due())


def counted_planner() -> list[float]:
    """Have planning count its CPU seconds in the list that is returned."""
    seconds = [0.0]
    planner: Any = _module("assignments.planning.batch_planner", "assignments.planning.evening").EveningPlanner

    def counted(work: Any) -> Any:
        def run(*arguments: Any, **named: Any) -> Any:
            started = time.process_time()
            try:
                return work(*arguments, **named)
            finally:
                seconds[0] += time.process_time() - started

        return run

    def counted_steps(work: Any) -> Any:
        def run(*arguments: Any, **named: Any) -> Any:
            steps = work(*arguments, **named)
            while (step := counted(next)(steps, None)) is not None:
                yield step

        return run

    planner.__init__ = counted(planner.__init__)
    if hasattr(planner, "decide_all"):
        planner.decide_all = counted_steps(planner.decide_all)
    else:
        planner.decide = counted(planner.decide)
    return seconds


def decide_all() -> int:
    """Decide what is due until nothing is. Returns the number of decisions."""
    dispatch = _module("assignments.coordination.dispatch", "assignments.dispatch")
    decided = 0
    while found := [outcome for each in dispatch.run_pass() for outcome in each.outcomes]:
        decided += sum(1 for outcome in found if outcome.kind != "noop")
    return decided


def _work(start: Any, answers: Any) -> None:
    """Decide what is due until nothing is, as a worker's process."""
    from django.db import connection

    planning = counted_planner()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = int(cursor.fetchone()[0])
    begin()
    server = cpu_of(backend)
    start.wait()
    used = resource.getrusage(resource.RUSAGE_SELF)
    decided = decide_all()
    ended = time.monotonic()
    now = resource.getrusage(resource.RUSAGE_SELF)
    after = cpu_of(backend)
    answers.put(
        {
            "decided": decided,
            "ended": ended,
            "planning": planning[0],
            "cpu": now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime,
            "server": None if server is None or after is None else after - server,
        }
    )


def begin() -> None:
    """Do what this tree's workers do first, if anything."""
    with suppress(ModuleNotFoundError, AttributeError):
        _module("assignments.management.supervisor").Worker(pipe=os.open(os.devnull, os.O_WRONLY)).begins()


def cpu_of(process: int) -> float | None:
    """Return the CPU seconds of a process of this machine, or None if it is not here."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _measure(workers: int, evenings: int, *, bare: bool) -> dict[str, Any]:
    import django

    django.setup()
    from django.db import connection

    new_database(DATABASE_SUFFIX)
    waiting = load(evenings)
    name = str(connection.settings_dict["NAME"])
    if bare:
        new_database(f"{DATABASE_SUFFIX}_before", template=name)
        connection.settings_dict["NAME"] = name
    connection.close()
    context = get_context("fork")
    start, answers = context.Barrier(workers + 1), context.Queue()
    processes = [context.Process(target=_work, args=(start, answers)) for _ in range(workers)]
    for process in processes:
        process.start()
    start.wait()
    started = time.monotonic()
    found = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    decided, bookings = sum(each["decided"] for each in found), _decided_bookings()
    if bookings != waiting:
        raise RuntimeError(f"Of {waiting} bookings that waited, {bookings} have been decided.")
    seconds = max(each["ended"] for each in found) - started
    planning, cpu = sum(each["planning"] for each in found), sum(each["cpu"] for each in found)
    servers = [each["server"] for each in found]
    answer = {
        "waiting": waiting,
        "decided": decided,
        "rate": bookings / seconds,
        "decisions": decided / bookings,
        "planning_ms": planning / bookings * 1000,
        "python_ms": (cpu - planning) / bookings * 1000,
        "server_ms": None if None in servers else sum(servers) / bookings * 1000,
    }
    return {**answer, **_bare_rate(f"{name}_before", bookings)} if bare else answer


def _decided_bookings() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT booking_ref) FROM assignments_attempt")
        return int(cursor.fetchone()[0])


def _bare_rate(before: str, bookings: int) -> dict[str, Any]:
    """Record the statements of a worker, and run them without Django on a copy of the same database."""
    import psycopg
    from django.db import connection

    name = str(connection.settings_dict["NAME"])
    new_database(f"{DATABASE_SUFFIX}_recorded", template=before)
    statements: list[tuple[str, Any]] = []
    _recorded(statements)
    connection.close()
    connection.settings_dict["NAME"] = before
    parameters = connection.get_connection_params()
    connection.settings_dict["NAME"] = name
    adapted = {key: value for key, value in parameters.items() if key not in {"cursor_factory", "context"}}
    failed = 0
    with psycopg.connect(**{**adapted, "dbname": before}, context=parameters.get("context")) as bare:
        cursor = psycopg.ClientCursor(bare)
        started = time.monotonic()
        for sql, values in statements:
            try:
                bare.commit() if sql == COMMIT else cursor.execute(sql, values)
            except psycopg.Error:
                failed += 1
                bare.rollback()
        seconds = time.monotonic() - started
    return {"bare_rate": bookings / seconds, "statements": len(statements), "failed": failed}


def _recorded(statements: list[tuple[str, Any]]) -> None:
    """Decide everything, and note each statement."""
    from django.db import connection

    def note(execute: Any, sql: Any, values: Any, many: bool, context: Any) -> Any:
        statements.extend((sql, each) for each in (values if many else [values]))
        return execute(sql, values, many, context)

    server: Any = connection
    commit = server._commit

    def note_commit() -> None:
        statements.append((COMMIT, None))
        commit()

    server._commit = note_commit
    with connection.execute_wrapper(note):
        decide_all()
    del server._commit


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", metavar="COMMIT", help="Measure this commit too, alternately.")
    parser.add_argument("--workers", nargs="+", type=int, default=list(WORKERS), help="Numbers of workers to measure.")
    parser.add_argument("--evenings", type=int, default=EVENINGS, help="How many evenings to decide.")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        # Beside this file there are other packages of the names that the tree has.
        sys.path[:] = [str(Path.cwd()), *(each for each in sys.path if each != str(HERE.parent))]
        print(json.dumps(_measure(options.measure, options.evenings, bare=options.bare)))
        return
    try:
        compare(workers=options.workers, evenings=options.evenings, against=options.against)
    except UnknownCommitError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
