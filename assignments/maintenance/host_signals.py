"""Receiving the host's signals: a booking that is saved or deleted, or gets other tables, is marked and followed.

Only writes to the default database count. ``update()`` and bulk writes send no signals; ``reconcile_assignments`` finds
them.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db import DEFAULT_DB_ALIAS, DatabaseError, models
from django.db.models import signals

from assignments import conf
from assignments.error_logging import log_error
from assignments.integration import marks, watched
from assignments.integration.watched import WatchBehind, WatchedLinks
from assignments.maintenance import mark_following

logger = logging.getLogger("assignments.host_signals")

_STORED_REF = "_assignments_stored_ref"
"""Attribute of a row between booking and table while it is saved: the booking that it belonged to."""

_connected: list[Callable[[], object]] = []
"""What takes back each connection."""


def connect() -> None:
    """Connect the signals of the models that the host class names, in place of any connected before.

    Nothing is connected without ``CONNECT_SIGNALS``, or if the settings or the host class cannot be read; the system
    checks report that.
    """
    while _connected:
        _connected.pop()()
    try:
        settings = conf.settings()
        if not settings.CONNECT_SIGNALS:
            return
        host = conf.load(settings.HOST)
        watches, links = watched.watches(host), watched.links(host)
        for number, watch in enumerate(watches):
            is_behind = isinstance(watch, WatchBehind)
            # Before the delete, because afterwards a foreign key with SET_NULL leads nowhere.
            deleted = signals.pre_delete if is_behind else signals.post_delete
            for model in watch.models():
                _connect_rows(model, watch.refs, uid=f"assignments.{number}", deleted=deleted)
    except (ImproperlyConfigured, LookupError, ValueError):
        return
    except Exception as error:  # noqa: BLE001  (the project starts all the same)
        log_error(logger, error, "The host's signals could not be connected")
        return
    if links is not None:
        _connect_links(links)


def _connect_rows(
    model: type[models.Model], refs: Callable[[Any], Iterable[str]], *, uid: str, deleted: Any = signals.post_delete
) -> None:
    def written(instance: models.Model, using: str, *, raw: bool = False, **kwargs: object) -> None:
        if using != DEFAULT_DB_ALIAS:
            return
        try:
            found = list(refs(instance))
        except DatabaseError:
            raise  # The project's transaction is broken.
        except Exception as error:  # noqa: BLE001  (the project must be able to save)
            log_error(logger, error, "A change to %s could not be recorded for the next pass", model._meta.label)
            return
        _mark(found, is_raw=raw)

    for signal in (signals.post_save, deleted):
        _connect(signal, written, sender=model, uid=uid)


def _connect_links(links: WatchedLinks) -> None:
    def changed(
        instance: models.Model, action: str, reverse: bool, pk_set: Iterable[Any] | None, using: str, **kwargs: object
    ) -> None:
        if using != DEFAULT_DB_ALIAS:
            return
        if not reverse:
            if action in {"post_add", "post_remove", "post_clear"}:
                _mark([links.ref_of(instance.pk)])
        elif action in {"post_add", "post_remove"}:
            _mark(links.ref_of(key) for key in pk_set or ())
        elif action == "pre_clear":  # Afterwards the bookings are unknown.
            _mark(links.refs_at(instance))

    _connect(signals.m2m_changed, changed, sender=links.through, uid="assignments.links")
    if not links.through._meta.auto_created:
        _connect_link_rows(links)


def _connect_link_rows(links: WatchedLinks) -> None:
    """Connect the rows of a project's own model between bookings and tables, since a row may change its booking."""

    def remember(instance: models.Model, using: str, **kwargs: object) -> None:
        if using == DEFAULT_DB_ALIAS and instance.pk is not None:
            vars(instance)[_STORED_REF] = links.stored_ref(instance)

    def refs(row: models.Model) -> list[str]:
        before, now = vars(row).pop(_STORED_REF, None), links.ref_of(getattr(row, links.column))
        return [now] if before in {None, now} else [before, now]

    _connect(signals.pre_save, remember, sender=links.through, uid="assignments.links")
    _connect_rows(links.through, refs, uid="assignments.links")


def _connect(signal: Any, receiver: Callable[..., None], *, sender: type[models.Model], uid: str) -> None:
    signal.connect(receiver, sender=sender, weak=False, dispatch_uid=uid)
    _connected.append(lambda: signal.disconnect(sender=sender, dispatch_uid=uid))


def _mark(booking_refs: Iterable[str], *, is_raw: bool = False) -> None:
    """Mark these bookings. ``is_raw``: fixtures are half loaded when their signals are sent, so a pass follows them.

    If a row has many bookings, a pass follows all but the first ones, and one query marks them.
    """
    refs = list(booking_refs)
    for ref in refs[: mark_following.INLINE]:
        marks.leave(ref, follow=None if is_raw else mark_following.follow_at_once)
    marks.leave_many_for_a_pass(refs[mark_following.INLINE :])


def _reconnect(*, setting: str, **kwargs: object) -> None:
    if setting == conf.NAME:
        connect()


setting_changed.connect(_reconnect, dispatch_uid="assignments.host_signals")
