from django.db import models


class Table(models.Model):
    seats = models.IntegerField()


class Visit(models.Model):
    class Status(models.TextChoices):
        PENDING = "P"
        CONFIRMED = "C"
        CANCELLED = "X"

    when = models.DateTimeField()
    pax = models.IntegerField()
    status = models.CharField(max_length=1, choices=Status, default=Status.PENDING)
    table = models.ForeignKey(Table, null=True, blank=True, on_delete=models.SET_NULL)
