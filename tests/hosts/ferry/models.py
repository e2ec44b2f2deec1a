from django.db import models


class Table(models.Model):
    seats = models.IntegerField()


class Crossing(models.Model):
    at = models.DateTimeField()
    passengers = models.IntegerField()
    accepted = models.BooleanField(default=False)
    is_cancelled = models.BooleanField(default=False)
    table = models.ForeignKey(Table, null=True, blank=True, on_delete=models.SET_NULL)
