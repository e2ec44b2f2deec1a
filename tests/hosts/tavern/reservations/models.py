import uuid

from django.db import models


class Board(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    seats = models.IntegerField()


class Reservation(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    starts = models.DateTimeField()
    heads = models.IntegerField()
    board = models.ForeignKey(Board, on_delete=models.PROTECT)
