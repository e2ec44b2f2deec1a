"""The pages that staff and operators use: what the tests of all pages, the costs and the pictures go through.

A page that is new is added here, and is then looked at by all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.urls import reverse


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """``key``: what its picture is called. ``path``: where it is, given what is in the database."""

    key: str
    title: str
    path: Callable[[], str]

    def __str__(self) -> str:
        return self.key


def _at(name: str) -> Callable[[], str]:
    return lambda: reverse(f"admin:{name}")


ROLLOUT = Page(key="rollout", title="Rollout", path=_at("rollout_position_changelist"))
PROMOTE = Page(key="promote", title="Promoting, with what stands in the way", path=_at("rollout_promote"))

PAGES = (ROLLOUT, PROMOTE)
