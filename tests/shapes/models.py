"""Three booking projects in one app: each shape has what the others lack.

Long because every shape of booking that projects have is a model here.
"""

import uuid
from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import RowNumber


class House(models.Model):
    """A restaurant."""

    objects: ClassVar[models.Manager["House"]] = models.Manager()

    name = models.CharField(max_length=50)
    time_zone = models.CharField(max_length=40, blank=True)

    def __str__(self) -> str:
        return self.name


class Board(models.Model):
    """A table."""

    objects: ClassVar[models.Manager["Board"]] = models.Manager()

    house = models.ForeignKey(House, null=True, on_delete=models.CASCADE)
    label = models.CharField(max_length=20)
    places = models.IntegerField(null=True)
    room = models.CharField(max_length=20, blank=True)
    smallest = models.IntegerField(null=True)
    largest = models.IntegerField(null=True)
    in_use = models.BooleanField(default=True)
    kept_for: "models.ManyToManyField[Visit, Visit]" = models.ManyToManyField("Visit", related_name="kept")

    def __str__(self) -> str:
        return self.label


class Used(models.Manager["Board"]):
    """Leaves out boards that are stored away."""

    def get_queryset(self) -> models.QuerySet["Board"]:
        return super().get_queryset().filter(in_use=True)


class UsedBoard(Board):
    """A board that is not stored away."""

    objects: ClassVar[Used] = Used()

    class Meta:
        proxy = True


class Stool(models.Model):
    """A table whose key is a text."""

    objects: ClassVar[models.Manager["Stool"]] = models.Manager()

    code = models.CharField(max_length=20, primary_key=True)
    seats = models.IntegerField()

    def __str__(self) -> str:
        return self.code


class Bench(models.Model):
    """A table whose key is a UUID."""

    objects: ClassVar[models.Manager["Bench"]] = models.Manager()

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    seats = models.IntegerField()

    def __str__(self) -> str:
        return str(self.pk)


class Visit(models.Model):
    """Wall-clock columns, integer stages, many-to-many tables; ordered by a column of a row that need not be there."""

    objects: ClassVar[models.Manager["Visit"]] = models.Manager()

    class Stage(models.IntegerChoices):
        ASKED = 0
        CONFIRMED = 1
        CANCELLED = 2
        ASKED_AGAIN = 3
        SEATED = 4

    house = models.ForeignKey(House, null=True, on_delete=models.CASCADE)
    day = models.DateField(null=True)
    hour = models.TimeField(null=True)
    guests = models.IntegerField(null=True)
    room = models.CharField(max_length=20, blank=True)
    stage = models.IntegerField(choices=Stage, default=Stage.ASKED)
    boards = models.ManyToManyField(Board, blank=True)

    class Meta:
        ordering = ["house__name"]

    def __str__(self) -> str:
        return f"{self.day} {self.hour}"


class Stay(models.Model):
    """UUID keys, an aware start and an end, a boolean instead of a status (null: not looked at yet), a table that may be
    missing."""

    objects: ClassVar[models.Manager["Stay"]] = models.Manager()

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    start = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)
    covers = models.IntegerField()
    accepted = models.BooleanField(null=True)
    is_kept = models.BooleanField(null=True, default=True)
    board = models.ForeignKey(Board, null=True, on_delete=models.PROTECT)
    benches = models.ManyToManyField(Bench)
    stools = models.ManyToManyField(Stool)

    class Meta:
        verbose_name = "VIP stay"

    def __str__(self) -> str:
        return str(self.pk)


class Card(models.Model):
    """Text keys, a status in words, and a table that every booking must have."""

    objects: ClassVar[models.Manager["Card"]] = models.Manager()

    code = models.CharField(max_length=20, primary_key=True)
    start = models.DateTimeField()
    covers = models.IntegerField()
    status = models.CharField(max_length=20, default="open")
    board = models.ForeignKey(Board, on_delete=models.PROTECT)

    def __str__(self) -> str:
        return self.code


class Note(models.Model):
    """Nothing but a start and a party: neither status nor tables."""

    objects: ClassVar[models.Manager["Note"]] = models.Manager()

    start = models.DateTimeField()
    covers = models.IntegerField()

    def __str__(self) -> str:
        return str(self.pk)


class Counted(models.Manager[Any]):
    """Counts something of each row."""

    def __init__(self, counts: str) -> None:
        super().__init__()
        self.counts = counts

    def get_queryset(self) -> models.QuerySet[Any]:
        rows: models.QuerySet[Any] = super().get_queryset()
        counted: models.QuerySet[Any] = rows.annotate(how_many=models.Count(self.counts))
        return counted


class Apart(models.Manager[Any]):
    """Has each row once, whatever is joined."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().distinct()


class Ranked(models.Manager[Any]):
    """Numbers the rows."""

    def get_queryset(self) -> models.QuerySet[Any]:
        rows: models.QuerySet[Any] = super().get_queryset()
        ranked: models.QuerySet[Any] = rows.annotate(place=models.Window(RowNumber(), order_by="start"))
        return ranked


class Ticket(models.Model):
    """Text keys, many-to-many tables, of which one keeps facts of its own about each pair."""

    objects: ClassVar[models.Manager["Ticket"]] = models.Manager()
    counted: ClassVar[Counted] = Counted("boards")
    apart: ClassVar[Apart] = Apart()
    ranked: ClassVar[Ranked] = Ranked()

    code = models.CharField(max_length=20, primary_key=True)
    start = models.DateTimeField()
    covers = models.IntegerField()
    status = models.CharField(max_length=20, null=True)  # noqa: DJ001  (a host's model may)
    boards = models.ManyToManyField(Board)
    benches = models.ManyToManyField(Bench)
    stools = models.ManyToManyField(Stool)
    noted_boards = models.ManyToManyField(Board, through="NotedBoard", related_name="+")
    dated_boards = models.ManyToManyField(Board, through="DatedBoard", related_name="+")

    def __str__(self) -> str:
        return self.code


class NotedBoard(models.Model):
    """Which board a ticket has, and nothing else that must be said."""

    ticket = models.ForeignKey(Ticket, on_delete=models.CASCADE)
    board = models.ForeignKey(Board, on_delete=models.CASCADE)
    note = models.CharField(max_length=20, db_default="")
    noted_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.note


class DatedBoard(models.Model):
    """Which board a ticket has, and since when."""

    ticket = models.ForeignKey(Ticket, on_delete=models.CASCADE)
    board = models.ForeignKey(Board, on_delete=models.CASCADE)
    since = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return str(self.since)


class Record(models.Model):
    """What inherits from it has its status in this table."""

    objects: ClassVar[models.Manager["Record"]] = models.Manager()

    status = models.CharField(max_length=20, default="pending")

    def __str__(self) -> str:
        return str(self.pk)


class Reservation(Record):
    """And its table in this one."""

    board = models.ForeignKey(Board, null=True, on_delete=models.PROTECT)


class Banquet(Reservation):
    """A booking that is kept in three tables."""

    objects: ClassVar[models.Manager["Banquet"]] = models.Manager()
    counted: ClassVar[Counted] = Counted("board")
    apart: ClassVar[Apart] = Apart()
    ranked: ClassVar[Ranked] = Ranked()

    start = models.DateTimeField()
    covers = models.IntegerField()


class Feast(Banquet):
    """The same under another name."""

    class Meta:
        proxy = True


class Area(models.Model):
    """A part of a restaurant, which says whose tables are in it."""

    objects: ClassVar[models.Manager["Area"]] = models.Manager()

    house = models.ForeignKey(House, on_delete=models.CASCADE)
    name = models.CharField(max_length=20)

    def __str__(self) -> str:
        return self.name


class Place(models.Model):
    """A table below an area, with a number that guests know it by, seats as text, and its neighbours."""

    objects: ClassVar[models.Manager["Place"]] = models.Manager()

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    area = models.ForeignKey(Area, on_delete=models.CASCADE)
    number = models.PositiveSmallIntegerField()
    seats = models.CharField(max_length=4)
    beside = models.ManyToManyField("self", blank=True)

    class Meta:
        ordering = ["area__name"]

    def __str__(self) -> str:
        return str(self.number)


class Opening(models.Model):
    """When a restaurant is open on a weekday, of which 1 is Monday."""

    objects: ClassVar[models.Manager["Opening"]] = models.Manager()

    house = models.ForeignKey(House, on_delete=models.CASCADE)
    meal = models.CharField(max_length=20)
    weekday = models.PositiveSmallIntegerField()
    opens = models.TimeField(null=True)
    closes = models.CharField(max_length=5, blank=True)
    early = models.PositiveSmallIntegerField(null=True)
    late = models.DurationField(null=True)
    is_closed = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.meal


class Turn(models.Model):
    """How long a party stays."""

    objects: ClassVar[models.Manager["Turn"]] = models.Manager()

    house = models.ForeignKey(House, on_delete=models.CASCADE)
    up_to = models.PositiveSmallIntegerField()
    stay = models.DurationField()

    def __str__(self) -> str:
        return f"{self.up_to}: {self.stay}"


class Slot(models.Model):
    """A time at which guests may come."""

    objects: ClassVar[models.Manager["Slot"]] = models.Manager()

    house = models.ForeignKey(House, on_delete=models.CASCADE)
    starts = models.TimeField()

    def __str__(self) -> str:
        return f"{self.starts:%H:%M}"


class Supper(models.Model):
    """A slot instead of a time, a party in words, a status of small positive numbers, a table's number."""

    objects: ClassVar[models.Manager["Supper"]] = models.Manager()

    class Status(models.IntegerChoices):
        NEW = 0
        SET = 1
        OFF = 2

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    slot = models.ForeignKey(Slot, null=True, on_delete=models.PROTECT)
    day = models.DateField()
    size = models.CharField(max_length=20, choices=[("1 person", "One"), ("2 people", "Two"), ("4 people", "Four")])
    status = models.PositiveSmallIntegerField(choices=Status, default=Status.NEW)
    place_number = models.PositiveSmallIntegerField(null=True)

    def __str__(self) -> str:
        return str(self.pk)


class Invitation(models.Model):
    """A time as text, an end as a time, two columns for the party, a moment of cancellation; tables mean that it sits."""

    objects: ClassVar[models.Manager["Invitation"]] = models.Manager()

    day = models.DateField()
    hour = models.CharField(max_length=8)
    until = models.TimeField(null=True)
    adults = models.PositiveSmallIntegerField(null=True)
    children = models.PositiveSmallIntegerField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    board = models.ForeignKey(Board, null=True, on_delete=models.PROTECT)
    house = models.ForeignKey(House, null=True, on_delete=models.CASCADE)

    class Meta:
        unique_together = [("board", "day", "hour")]

    def __str__(self) -> str:
        return f"{self.day} {self.hour}"


class StateField(models.SmallIntegerField):  # type: ignore[type-arg]
    """A field of another kind, as state machines have them."""


class Kept(models.Manager["Order"]):
    """Leaves out what was deleted softly."""

    def get_queryset(self) -> models.QuerySet["Order"]:
        return super().get_queryset().filter(is_deleted=False)


class Order(models.Model):
    """A state of a field of another kind, a party as a decimal, a duration in minutes, soft deletion, a required table."""

    objects: ClassVar[Kept] = Kept()
    everything: ClassVar[models.Manager["Order"]] = models.Manager()

    start = models.DateTimeField()
    minutes = models.CharField(max_length=4, blank=True)
    covers = models.DecimalField(max_digits=5, decimal_places=1)
    state = StateField(default=0)
    is_deleted = models.BooleanField(default=False)
    board = models.ForeignKey(Board, on_delete=models.PROTECT)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["board", "start"], condition=models.Q(is_deleted=False), name="one_order_at_a_board"
            )
        ]

    def __str__(self) -> str:
        return str(self.pk)


class Call(models.Model):
    """A status in any text and capitals, a flag for cancellations, tables in rows of their own."""

    objects: ClassVar[models.Manager["Call"]] = models.Manager()

    moment = models.CharField(max_length=30)
    guests = models.TextField()
    status = models.TextField(default="NEW")
    is_off = models.BooleanField(default=False)
    stay = models.DurationField(null=True)

    def __str__(self) -> str:
        return str(self.pk)


class Plate(models.Model):
    """All tables of a join in one column: an array of keys, or a text of numbers."""

    objects: ClassVar[models.Manager["Plate"]] = models.Manager()

    start = models.DateTimeField()
    covers = models.IntegerField()
    status = models.CharField(max_length=10, default="pending")
    boards = ArrayField(models.BigIntegerField(), default=list, blank=True)
    labels = models.CharField(max_length=50, blank=True)

    def __str__(self) -> str:
        return str(self.pk)


class Sitting(models.Model):
    """What several bookings share: when they begin and end."""

    objects: ClassVar[models.Manager["Sitting"]] = models.Manager()

    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.starts_at:%H:%M}"


class Standing(models.Model):
    """A status, as a row."""

    objects: ClassVar[models.Manager["Standing"]] = models.Manager()

    code = models.SlugField(primary_key=True)

    def __str__(self) -> str:
        return self.code


class Outing(models.Model):
    """Its start and end are those of a sitting, its status is a row, and its board may be deleted."""

    objects: ClassVar[models.Manager["Outing"]] = models.Manager()

    created = models.DateTimeField(auto_now_add=True)
    sitting = models.ForeignKey(Sitting, on_delete=models.CASCADE)
    covers = models.IntegerField()
    status = models.ForeignKey(Standing, on_delete=models.PROTECT, default="pending")
    board = models.ForeignKey(Board, null=True, on_delete=models.SET_NULL)

    def __str__(self) -> str:
        return str(self.pk)


class Given(models.Model):
    """A board that somebody who called has."""

    objects: ClassVar[models.Manager["Given"]] = models.Manager()

    call = models.ForeignKey(Call, related_name="given", on_delete=models.CASCADE)
    board = models.ForeignKey(Board, on_delete=models.CASCADE)

    def __str__(self) -> str:
        return str(self.board)


class Muddle(models.Model):
    """Whatever a ``ModelHost`` cannot use, for the tests of its check."""

    objects: ClassVar[models.Manager["Muddle"]] = models.Manager()

    flag = models.BooleanField(default=False)
    shown = models.BooleanField(default=True)
    letter = models.CharField(max_length=1, choices=[("P", "pending"), ("C", "confirmed"), ("X", "cancelled")])
    word = models.CharField(max_length=4)
    meal = models.CharField(max_length=10, choices=[("lunch", "Lunch"), ("dinner", "Dinner")])
    day = models.DateField()
    moment = models.DateTimeField()
    count = models.IntegerField(default=0)
    facts = models.JSONField(default=dict)
    weight = models.FloatField(default=0)
    noted_at = models.DateTimeField(auto_now_add=True)
    only_board = models.OneToOneField(Board, null=True, on_delete=models.PROTECT, related_name="+")
    board = models.ForeignKey(Board, on_delete=models.PROTECT, related_name="muddles")
    boards = models.ManyToManyField(Board, related_name="+")

    def __str__(self) -> str:
        return str(self.pk)


class NobodysManager(models.Manager[Any]):
    """Shows the current tenant's rows: none where nobody is logged in."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().none()


class TenantStay(Stay):
    """A stay that only its tenant sees."""

    objects: ClassVar[models.Manager[Any]] = NobodysManager()
    unscoped: ClassVar[models.Manager[Any]] = models.Manager()

    class Meta:
        proxy = True


class TenantBoard(Board):
    """A board that only its tenant sees."""

    objects: ClassVar[models.Manager[Any]] = NobodysManager()
    unscoped: ClassVar[models.Manager[Any]] = models.Manager()

    class Meta:
        proxy = True
