"""The audit log of changes, and the single lock under which all of them are made."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import connection

from assignments.concurrency import transactions
from assignments.integration import release
from assignments.planning.text import gettext as _
from rollout import conf
from rollout.models import Change

LOCK_TIMEOUT_MS = 5000
STATEMENT_TIMEOUT_MS = 20_000


class BusyError(Exception):
    """Raised when another change is in progress; try again."""


class UnusableError(ValueError):
    """Raised for unusable input, which the message names."""


def require_reason(reason: str) -> None:
    """Check the reason. Raises UnusableError if it is empty."""
    if not reason.strip():
        raise UnusableError(_("A reason is required for the audit log."))


@contextmanager
def changing(*, reason: str) -> Iterator[datetime]:
    """Open a transaction that excludes all other changes to the rollout; yield the database's time.

    One advisory lock for all of it, since switches and position may have no rows yet. Raises UnusableError without a
    reason, BusyError after LOCK_TIMEOUT_MS.
    """
    require_reason(reason)
    limits = transactions.Limits(lock=LOCK_TIMEOUT_MS, statement=STATEMENT_TIMEOUT_MS)
    with transactions.atomic(limits=limits), connection.cursor() as cursor:
        cursor.execute("SELECT assignments_lock(ARRAY['rollout:changing'], 0, %s)", [str(LOCK_TIMEOUT_MS)])
        now = cursor.fetchone()[0]
        if now is None:
            raise BusyError(_("Another change to the rollout is in progress; try again."))
        yield now


def record(
    *,
    kind: Change.Kind,
    subject: str,
    actor: str,
    reason: str,
    before: str = "",
    after: str = "",
    overridden: bool = False,
    evidence: Mapping[str, Any] | None = None,
) -> Change:
    """Append one change, in the transaction that makes it. ``evidence`` must be ready for JSON."""
    transactions.require_transaction()
    return Change.objects.create(
        environment=conf.settings().ENVIRONMENT,
        kind=kind,
        subject=subject,
        before=before,
        after=after,
        actor=actor,
        reason=reason,
        overridden=overridden,
        evidence=dict(evidence or {}),
        release=release.running(),
    )
