import uuid

from django.db import models


class Place(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    number = models.PositiveSmallIntegerField(unique=True)
    seats = models.PositiveSmallIntegerField()


class Lunch(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    start_time = models.DateTimeField()
    duration = models.DurationField()
    covers = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=10, default="pending")
    table_number = models.PositiveSmallIntegerField(null=True, blank=True)
