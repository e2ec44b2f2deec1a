"""The rollout's tables: its position and changes, comparisons of decisions and of days, waivers, guard runs and others.

Long because each table is described where it is declared, and none of them does anything.
"""

from collections.abc import Collection
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from assignments.models.moment import DatabaseNow
from rollout.policy import former_words
from rollout.policy.verdict import Verdict

FARTHEST_DAYS = 365
"""A comparison's service date is fewer days than this after its recording, as the database holds (migration 0009).

Hardly any guest books for longer, and what is dated beyond would count as evidence for ever.
"""


WAIVED_AT_MOST = 20
"""How many comparisons a waiver covers unless it says otherwise."""


def _release(help_text: Any) -> "models.TextField[str, str]":
    return models.TextField(blank=True, default="", db_default="", help_text=help_text)


class FloorRecord(models.Model):
    """A version of a floor, shared by many snapshots.

    ``fingerprint``: that with which it was last read from the host (``rollout.evidence.known_floors``); empty if not
    known.
    """

    version = models.TextField(primary_key=True)
    restaurant_ref = models.TextField()
    content = models.JSONField()
    fingerprint = models.TextField(default="", db_default="")
    recorded_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        verbose_name = _("floor record")
        verbose_name_plural = _("floor records")
        indexes = (
            models.Index(fields=["fingerprint"], condition=~models.Q(fingerprint=""), name="floorrecord_fingerprint"),
        )

    def __str__(self) -> str:
        return f"{self.restaurant_ref} {self.version}"


class Comparison(models.Model):
    """One decision of the legacy planner, and what V3 would have decided on the same snapshot.

    Stored with the snapshot, so that any planner can decide it again. ``verdict`` is empty until V3 has decided
    (``manage.py rollout compare``). Timings are milliseconds of planning alone. ``control_repeats``: whether the legacy
    planner chose the same tables when asked again. ``origin``: decided for a guest in shadow mode, or replayed by a
    backtest. ``release``: that of the process in which V3 decided; an empty one counts for no release. Decisions of
    backtests with the same ``content_digest`` count once. Triggers refuse a second verdict, rows from the future, and
    every DELETE except by ``manage.py rollout prune``, which may delete nothing less than a day old.
    """

    class Origin(models.TextChoices):
        SHADOW = "shadow", _("shadow")
        BACKTEST = "backtest", _("backtest")

    origin = models.TextField(choices=Origin.choices, default=Origin.SHADOW)
    booking_ref = models.TextField()
    restaurant_ref = models.TextField()
    floor = models.ForeignKey(FloorRecord, on_delete=models.PROTECT, related_name="+")
    party = models.IntegerField(default=0, help_text=_("Covers."))
    starts_at = models.DateTimeField(null=True)
    service_date = models.DateField(null=True, help_text=_("The local date on which the booking starts."))
    peak = models.BooleanField(default=False, help_text=_("At least half of the tables were taken at its start."))
    joined = models.BooleanField(default=False, help_text=_("One of the planners chose joined tables."))
    snapshot = models.JSONField()
    snapshot_hash = models.TextField()
    control = models.JSONField()
    control_ms = models.FloatField()
    control_repeats = models.BooleanField(null=True)
    candidate = models.JSONField(null=True)
    candidate_ms = models.FloatField(null=True)
    verdict = models.TextField(blank=True, default="", choices=[(each.value, each.value) for each in Verdict])
    error = models.TextField(blank=True, default="", help_text=_("What went wrong with V3, by type; never a message."))
    release = _release(_("The release of V3 that decided. Empty: none yet, or unknown."))
    content_digest = models.TextField(
        blank=True, default="", db_default="", help_text=_("A digest of what a backtest was given, whatever its names.")
    )
    recorded_at = models.DateTimeField(db_default=DatabaseNow())
    compared_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("comparison")
        verbose_name_plural = _("comparisons")
        indexes = [
            models.Index(fields=["id"], condition=models.Q(verdict=""), name="comparison_waiting"),
            models.Index(fields=["verdict", "recorded_at"], name="comparison_verdict"),
            models.Index(fields=["booking_ref"], name="comparison_booking"),
            models.Index(fields=["recorded_at"], name="comparison_recorded"),
            models.Index(fields=["compared_at"], name="comparison_compared"),
            models.Index(fields=["service_date", "restaurant_ref"], name="comparison_day"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(verdict__in=["", *(each.value for each in Verdict)]), name="comparison_known_verdict"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.booking_ref}: {self.verdict or 'waiting'}"


class ComparisonTally(models.Model):
    """Totals of a restaurant's pruned comparisons of one day. Milliseconds of planning alone."""

    day = models.DateField(help_text=_("The day of recording, UTC."))
    restaurant_ref = models.TextField()
    origin = models.TextField(choices=Comparison.Origin.choices, default=Comparison.Origin.SHADOW)
    verdict = models.TextField(choices=[(each.value, each.value) for each in Verdict])
    comparisons = models.IntegerField()
    candidate_ms_sum = models.FloatField(default=0)
    candidate_ms_max = models.FloatField(default=0)

    class Meta:
        ordering = ["-day", "restaurant_ref", "verdict"]
        verbose_name = _("comparison tally")
        verbose_name_plural = _("comparison tallies")
        constraints = [
            models.UniqueConstraint(
                fields=["day", "restaurant_ref", "origin", "verdict"], name="comparisontally_one_a_day"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.restaurant_ref} {self.verdict}: {self.comparisons}"


class DayComparison(models.Model):
    """A restaurant's service day, stored as the legacy planner met it, and each planner's result for the whole day.

    ``content`` and the floor are enough to replay both planners: the bookings in the order of their decisions, and what
    others had taken. ``refused``: refused bookings that could have been seated at free tables, without moving anybody.
    ``moved``: parties that V3 gave other tables within their batch. A planner that gave no answer has no numbers;
    ``error`` says why. Append-only; the last row of a day counts for its release.
    """

    origin = models.TextField(choices=Comparison.Origin.choices, default=Comparison.Origin.SHADOW)
    environment = models.TextField()
    release = _release(_("The release of V3 that decided. Empty: none yet, or unknown."))
    restaurant_ref = models.TextField()
    service_date = models.DateField()
    floor = models.ForeignKey(FloorRecord, on_delete=models.PROTECT, related_name="+")
    content = models.JSONField()
    bookings = models.IntegerField()
    control_seated = models.IntegerField(null=True)
    control_covers = models.IntegerField(null=True)
    control_refused = models.IntegerField(null=True)
    control_unsafe = models.IntegerField(null=True)
    candidate_seated = models.IntegerField(null=True)
    candidate_covers = models.IntegerField(null=True)
    candidate_refused = models.IntegerField(null=True)
    candidate_moved = models.IntegerField(null=True)
    candidate_unsafe = models.IntegerField(null=True)
    flaws = models.JSONField(default=dict, help_text=_("What was wrong with V3's seatings: how many, by kind."))
    error = models.TextField(blank=True, default="", help_text=_("What went wrong with V3, by type; never a message."))
    recorded_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        ordering = ["-id"]
        verbose_name = _("compared day")
        verbose_name_plural = _("compared days")
        indexes = [
            models.Index(fields=["restaurant_ref", "service_date"], name="daycomparison_day"),
            models.Index(fields=["recorded_at"], name="daycomparison_recorded"),
        ]

    def __str__(self) -> str:
        return f"{self.restaurant_ref} {self.service_date}: {self.candidate_seated} and {self.control_seated}"


class DayTally(models.Model):
    """Totals of a restaurant's pruned comparisons of a service day.

    ``worse``: V3 seated fewer bookings than the legacy planner, or as many with fewer covers.
    """

    service_date = models.DateField()
    restaurant_ref = models.TextField()
    origin = models.TextField(choices=Comparison.Origin.choices, default=Comparison.Origin.SHADOW)
    comparisons = models.IntegerField()
    worse = models.IntegerField(default=0)
    unsafe = models.IntegerField(default=0)
    errors = models.IntegerField(default=0)

    class Meta:
        ordering = ["-service_date", "restaurant_ref"]
        verbose_name = _("day tally")
        verbose_name_plural = _("day tallies")
        constraints = [
            models.UniqueConstraint(fields=["service_date", "restaurant_ref", "origin"], name="daytally_one_a_day"),
        ]

    def __str__(self) -> str:
        return f"{self.service_date} {self.restaurant_ref}: {self.comparisons}"


class StoredBatch(models.Model):
    """V3's input and decisions for bookings that were planned together. The audit reads it.

    Written by the transaction that decides. ``floor``: the floor in full, if its version had no record yet. ``content``: the
    snapshot, the requests, the decisions, and who might have been moved. ``attempts`` of ``assignments`` refer to ``key``.
    """

    key = models.UUIDField(primary_key=True)
    restaurant_ref = models.TextField()
    service_date = models.DateField()
    floor_version = models.TextField()
    floor = models.JSONField(null=True)
    content = models.JSONField()
    attempts = models.IntegerField()
    refusals = models.IntegerField()
    release = _release(_("The release of the process that decided. Empty: unknown."))
    at = models.DateTimeField(db_default=DatabaseNow())
    audited_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-at"]
        db_table = "rollout_frozenbatch"  # Its name since the first release that had it.
        verbose_name = _("stored batch")
        verbose_name_plural = _("stored batches")
        indexes = [
            models.Index(fields=["at"], condition=models.Q(audited_at__isnull=True), name="frozenbatch_waiting"),
            models.Index(fields=["at"], name="frozenbatch_at"),
        ]

    def __str__(self) -> str:
        return f"{self.restaurant_ref} {self.service_date}: {self.attempts}"


class Audit(models.Model):
    """The seating audit's finding for one of V3's decisions, by the stored batch of which it was part.

    ``wrong_refusal``: tables were free without moving anybody. ``verdict``: V3's decision compared with the legacy
    planner's on the same snapshot; empty if that was not asked, or gave no answer. ``error``: why there is no finding.
    Append-only; each decision has one audit.
    """

    attempt = models.BigIntegerField(unique=True, help_text=_("The id of the attempt."))
    booking_ref = models.TextField()
    restaurant_ref = models.TextField()
    service_date = models.DateField()
    release = _release(_("The release of the process that decided. Empty: unknown."))
    is_refusal = models.BooleanField()
    flaws = ArrayField(models.TextField(), default=list)
    wrong_refusal = models.BooleanField(default=False)
    avoidable_by_moves = models.BooleanField(default=False)
    avoidable_join = models.BooleanField(default=False)
    oversized = models.BooleanField(default=False)
    untold = models.BooleanField(default=False)
    verdict = models.TextField(blank=True, default="", choices=[(each.value, each.value) for each in Verdict])
    control = models.JSONField(null=True)
    error = models.TextField(blank=True, default="", help_text=_("What went wrong, by type; never a message."))
    decided_at = models.DateTimeField()
    audited_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        ordering = ["-id"]
        verbose_name = _("audit")
        verbose_name_plural = _("audits")
        indexes = [
            models.Index(fields=["decided_at"], name="audit_decided"),
            models.Index(fields=["audited_at"], name="audit_audited"),
            models.Index(fields=["booking_ref"], name="audit_booking"),
        ]

    def __str__(self) -> str:
        return f"{self.booking_ref}: {', '.join(self.flaws) or 'no flaws'}"


class AuditTally(models.Model):
    """Totals of a restaurant's pruned audits of one day."""

    day = models.DateField(help_text=_("The day of the decision, UTC."))
    restaurant_ref = models.TextField()
    decisions = models.IntegerField()
    refusals = models.IntegerField(default=0)
    unsafe = models.IntegerField(default=0)
    wrong_refusals = models.IntegerField(default=0)
    avoidable_by_moves = models.IntegerField(default=0)
    worse = models.IntegerField(default=0)
    unjudged = models.IntegerField(default=0, db_default=0, help_text=_("Decisions whose audit failed."))
    unaudited = models.IntegerField(
        default=0, db_default=0, help_text=_("Decisions that were pruned without an audit.")
    )

    class Meta:
        ordering = ["-day", "restaurant_ref"]
        verbose_name = _("audit tally")
        verbose_name_plural = _("audit tallies")
        constraints = [models.UniqueConstraint(fields=["day", "restaurant_ref"], name="audittally_one_a_day")]

    def __str__(self) -> str:
        return f"{self.day} {self.restaurant_ref}: {self.decisions}"


class Position(models.Model):
    """The stage of an environment. Only ``rollout.control.steering`` writes it, always with a ``Change``.

    ``percent`` is V3's share of restaurants, stored here so that routing needs only this row; so is ``release``, that of the
    processes that decide at this stage, with the releases declared to be the ``same`` as it. ``release_since``: when it
    came, if that was after the stage began.
    """

    environment = models.TextField(primary_key=True)
    stage = models.TextField()
    percent = models.IntegerField()
    since = models.DateTimeField()
    paused = models.BooleanField(default=False, help_text=_("Nobody may promote until it is resumed."))
    cool_down_until = models.DateTimeField(
        null=True, blank=True, help_text=_("After a breach: no promotion before this time.")
    )
    release = _release(_("The release that decides at this stage."))
    release_since = models.DateTimeField(null=True, blank=True, help_text=_("When it began, if later than the stage."))
    same = ArrayField(
        models.TextField(),
        default=list,
        db_default=[],
        blank=True,
        help_text=_("Releases declared to decide alike: their evidence counts for it."),
    )

    class Meta:
        verbose_name = _("position")
        verbose_name_plural = _("rollout")
        permissions = [
            ("promote", _("Can promote the rollout to the next stage")),
            ("roll_back", _("Can roll the rollout back")),
            ("pause", _("Can pause the rollout, and resume it")),
            ("force_planner", _("Can force a planner for a restaurant")),
            ("waive", _("Can accept a known difference between the planners")),
            ("override_gates", _("Can promote although gates do not pass")),
            ("toggle", _("Can toggle the rollout's switches")),
        ]

    def __str__(self) -> str:
        return f"{self.environment}: {self.stage}"

    def knows(self, release: str) -> bool:
        """Return whether this release decides at this stage, or was declared to decide alike."""
        return bool(release) and release in (self.release, *self.same)

    def counted_for(self, release: str) -> list[str]:
        """Return the releases whose evidence counts for this one: itself, and those declared to decide alike."""
        return sorted({release, self.release, *self.same} - {""}) if self.knows(release) else [release]


class ForcedPlanner(models.Model):
    """The planner forced for a restaurant, regardless of the percentage. Flags and kill variable take precedence."""

    class PlannerChoice(models.TextChoices):
        V3 = "v3", _("V3")
        LEGACY = "legacy", _("legacy planner")

    restaurant_ref = models.TextField(primary_key=True)
    planner = models.TextField(choices=PlannerChoice.choices)
    actor = models.TextField()
    reason = models.TextField()
    at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        ordering = ["restaurant_ref"]
        verbose_name = _("forced planner")
        verbose_name_plural = _("forced planners")

    def __str__(self) -> str:
        return f"{self.restaurant_ref}: {self.planner}"


class Waiver(models.Model):
    """An accepted difference between the planners, with an owner, valid until ``expires_at``.

    It covers comparisons with its verdict, of one restaurant or all (empty), and with one reason code of the refusing
    planner or any (empty): the first ``at_most`` of them, which gates count as waived. An expired waiver blocks promotion
    until it is renewed or withdrawn.
    """

    verdict = models.TextField(choices=[(each.value, each.value) for each in Verdict])
    restaurant_ref = models.TextField(blank=True, default="")
    refusal = models.TextField(blank=True, default="", help_text=_("The reason code of the refusal."))
    owner = models.TextField(help_text=_("Who is responsible for it: a team or a user id."))
    reason = models.TextField()
    at_most = models.PositiveIntegerField(
        default=WAIVED_AT_MOST, db_default=WAIVED_AT_MOST, help_text=_("Maximum number of comparisons that it covers.")
    )
    expires_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        ordering = ["expires_at"]
        verbose_name = _("waiver")
        verbose_name_plural = _("waivers")

    def __str__(self) -> str:
        return f"{self.verdict} until {self.expires_at:%Y-%m-%d}: {self.reason}"


class FedFile(models.Model):
    """An evening of a file that ``rollout backtest --feed`` has kept as comparisons. It counts once for a release.

    ``digest`` is made of the floor and the bookings, without names and dates (``backtest.content``).
    """

    digest = models.TextField()
    release = _release(_("The release whose decisions were kept."))
    comparisons = models.IntegerField(default=0)
    at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        ordering = ["-id"]
        verbose_name = _("fed file")
        verbose_name_plural = _("fed files")
        constraints = [models.UniqueConstraint(fields=["digest", "release"], name="fedfile_once_a_release")]

    def __str__(self) -> str:
        return f"{self.digest[:12]} {self.release}"


class ChangeQuerySet(models.QuerySet["Change"]):
    """Changes, by their current names."""

    def of_kind(self, kind: str) -> "ChangeQuerySet":
        """Changes of this kind, written by any version."""
        former = [old for old, new in former_words.KINDS.items() if new == kind]
        found = models.Q(kind__in=[kind, *former])
        if kind == Change.Kind.PAUSE:
            found |= models.Q(kind="hold") & ~models.Q(after="released")
        elif kind == Change.Kind.RESUME:
            found |= models.Q(kind="hold", after="released")
        return self.filter(found)


class Change(models.Model):
    """One entry of the audit log: who, what, why, and the measurements. A database trigger makes it append-only.

    Rows of earlier versions keep their words and are translated when read (``from_db``; by kind: ``of_kind``).
    """

    class Kind(models.TextChoices):
        STAGE = "stage", _("stage")
        SWITCH = "switch", _("switch")
        PAUSE = "pause", _("pause")
        RESUME = "resume", _("resume")
        FORCED_PLANNER = "forced_planner", _("forced planner")
        WAIVER = "waiver", _("waiver")
        RELEASE = "release", _("release")

    environment = models.TextField()
    kind = models.TextField(choices=Kind.choices)
    subject = models.TextField(help_text=_("The stage, switch, restaurant, waiver or release."))
    before = models.TextField(blank=True, default="")
    after = models.TextField(blank=True, default="")
    actor = models.TextField(help_text=_("'user:ID', 'command:LOGIN', 'guard', 'release', or 'unknown'."))
    reason = models.TextField(blank=True, default="")
    overridden = models.BooleanField(default=False, help_text=_("Promoted although gates did not pass."))
    evidence = models.JSONField(default=dict, blank=True)
    release = _release(_("The release of the process that made the change. Empty: unknown."))
    at = models.DateTimeField(db_default=DatabaseNow())

    objects = ChangeQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("change")
        verbose_name_plural = _("changes")
        indexes = [models.Index(fields=["kind", "at"], name="change_kind")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}: {self.before} -> {self.after}"

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any) -> "Change":
        """The row, in current words."""
        row = dict(zip(field_names, values, strict=True))
        if {"kind", "before", "after"} <= row.keys():
            row["kind"], row["before"], row["after"] = former_words.change(row["kind"], row["before"], row["after"])
        if "evidence" in row:
            row["evidence"] = former_words.evidence(row["evidence"])
        return super().from_db(db, list(row), list(row.values()), **options)


class GuardRun(models.Model):
    """One guard run: what it measured of V3, and the breaches it found."""

    environment = models.TextField()
    stage = models.TextField()
    measured = models.JSONField(default=dict)
    breaches = models.JSONField(default=list)
    rolled_back_to = models.TextField(blank=True, default="")
    release = _release(_("The release that was measured. Empty: unknown."))
    at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        ordering = ["-id"]
        verbose_name = _("guard run")
        verbose_name_plural = _("guard runs")
        indexes = [models.Index(fields=["at"], name="guardrun_at")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.stage}: {len(self.breaches)} breaches"
