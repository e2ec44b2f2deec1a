"""What queries really read: for tests that hold a page to rows that it needs, however many there are beside them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """One scan of a table, and how many of its rows it read, those that it threw away included."""

    table: str
    rows: int
    sql: str


@contextmanager
def reading() -> Iterator[list[Scan]]:
    """Every scan of a table by every SELECT inside, as PostgreSQL counts it."""
    scans: list[Scan] = []

    def explained(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().startswith(("SELECT", "WITH")) and "set_config" not in sql and "FOR UPDATE" not in sql:
            execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, FORMAT JSON) {sql}", params, many, context)
            ((answer,),) = context["cursor"].fetchall()
            scans.extend(_scans(answer[0]["Plan"], sql))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explained):
        yield scans


def _scans(node: Mapping[str, Any], sql: str) -> Iterator[Scan]:
    if "Relation Name" in node:
        seen = [
            node.get(name, 0) for name in ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
        ]
        yield Scan(table=node["Relation Name"], rows=round(sum(seen) * node["Actual Loops"]), sql=sql)
    for child in node.get("Plans", ()):
        yield from _scans(child, sql)
