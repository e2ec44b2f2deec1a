"""Noting which release of V3 runs: evidence and time in stage belong to a release.

The router notices a new release at once (``rollout.flags.bucketing.share``); this module records it. The guard and
``rollout compare`` call ``note`` from cron.
"""

from datetime import datetime, timedelta

from assignments.concurrency.sql import rows
from assignments.integration import release
from assignments.planning.text import gettext as _
from assignments.telemetry import events
from rollout import conf
from rollout.control import change_log, steering
from rollout.control.change_log import UnusableError
from rollout.events import SOURCE
from rollout.flags import resolution
from rollout.models import Change, Position
from rollout.policy.ladder import Stage

ACTOR = "release"
EVERYBODY = 100
OVERLAP = timedelta(minutes=15)
"""How long after a deploy processes of the release before may still run: they do not count as a deploy of it."""


def note() -> Position | None:
    """Store the running release in the position if it differs. Return the position; None before the ladder has begun.

    If V3 decides, a release without evidence goes down to the canary, the lowest stage in which V3 decides, or keeps
    its stage (``ROLLOUT["NEW_RELEASE"]``). Its time in stage starts again in any case. While somebody else changes the
    rollout, nothing is noted; the next call does it.
    """
    running = release.running()
    position = steering.current()
    if position is None or position.knows(running) or not _is_in_effect(position):
        return position
    try:
        with change_log.changing(reason=ACTOR) as now:
            position = steering.current()
            if position is not None and not position.knows(running) and not _was_just_replaced(running, now):
                _take_over(position, running, now)
    except change_log.BusyError:
        return steering.current()
    return position


def same(*, as_release: str, actor: str, reason: str) -> Position:
    """Record that the running release decides like ``as_release``, whose evidence then counts for it too.

    The time in stage goes on if the other release still decides at the stage, so declare this before workers are
    restarted. Raises UnusableError for a release that is the running one or has no evidence, NotBegunError, and
    BusyError.
    """
    running = release.running()
    if as_release == running:
        raise UnusableError(_("%(release)s is the running release itself.", release=running))
    known = _with_evidence()
    if as_release not in known:
        problem = _(
            "There is no evidence of a release %(release)s. Releases with evidence: %(known)s.",
            release=repr(as_release),
            known=", ".join(sorted(known)) or "-",
        )
        raise UnusableError(problem)
    with change_log.changing(reason=reason) as now:
        position = steering.current()
        if position is None:
            raise steering.NotBegunError
        before = position.release
        if position.knows(as_release):
            position.same = sorted({*position.counted_for(as_release)} - {running})
        else:
            position.same = sorted({*position.same, as_release} if position.knows(running) else {as_release})
            if not position.knows(running):
                position.release_since = now
        position.release = running
        position.save(update_fields=["release", "release_since", "same"])
        change_log.record(
            kind=Change.Kind.RELEASE,
            subject=running,
            before=as_release,
            after=running,
            actor=actor,
            reason=reason,
            evidence={"same_as": as_release, "position_had": before},
        )
        detail = f"{running} decides like {as_release}"
        events.announce(SOURCE, "rollout.steered", detail=detail[:200], actor=actor, reason=reason[:200])
        return position


def _take_over(position: Position, running: str, now: datetime) -> None:
    before, stage = position.release, position.stage
    target, decides = _target(position)
    keeps = decides and target is None and (conf.new_release_keeps() or position.percent == EVERYBODY)
    what = (
        "keeps the stage" if keeps else f"goes to {target.key}" if target else "has its own evidence and time in stage"
    )
    reason = f"release {running} has no evidence: {what}"
    position.release, position.release_since, position.same = running, now, []
    if target:
        steering.move(
            position, target, now=now, actor=ACTOR, reason=reason, evidence={"release": running, "before": before}
        )
    else:
        position.save(update_fields=["release", "release_since", "same"])
    change_log.record(
        kind=Change.Kind.RELEASE,
        subject=running,
        before=before,
        after=running,
        actor=ACTOR,
        reason=reason,
        evidence={"from_stage": stage, "stage": position.stage, "percent": position.percent, "kept": keeps},
    )
    detail = f"{before or 'unknown'} -> {running}: {what}"[:200]
    event = "rollout.release_kept" if keeps else "rollout.release_changed"
    events.announce(SOURCE, event, from_state=stage, to_state=position.stage, detail=detail)


def _is_in_effect(position: Position) -> bool:
    """Return whether the stage is in effect. While V3 is off by hand, the release is noted once it is on again."""
    return position.percent == 0 or resolution.read().mode is resolution.Mode.ACTIVE


def _target(position: Position) -> tuple[Stage | None, bool]:
    """Return the stage to which a release without evidence goes down, if any, and whether V3 decides at present."""
    ladder = conf.current_ladder()
    decides = position.percent > 0
    if not decides or conf.new_release_keeps():
        return None, decides
    target = ladder.canary(position.stage)
    return (target if target.key != position.stage else None), decides


def _was_just_replaced(running: str, now: datetime) -> bool:
    """Return whether the position had this release until a moment ago, so that this process is about to be restarted."""
    last = Change.objects.filter(environment=conf.settings().ENVIRONMENT, actor=ACTOR, kind=Change.Kind.RELEASE).first()
    return last is not None and last.before == running and now - last.at < OVERLAP


def _with_evidence() -> set[str]:
    return {found for (found,) in rows(_RELEASES) if found}


_RELEASES = """
SELECT release FROM rollout_comparison WHERE verdict <> '' GROUP BY 1
 UNION
SELECT release FROM assignments_attempt GROUP BY 1
 UNION
SELECT release FROM rollout_position
"""
