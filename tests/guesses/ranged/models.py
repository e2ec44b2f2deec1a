"""One range of time instead of a start and an end."""

from django.contrib.postgres.fields import DateTimeRangeField
from django.db import models


class Restaurant(models.Model):
    name = models.CharField(max_length=50)


class Table(models.Model):
    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE)
    number = models.PositiveIntegerField()
    capacity = models.PositiveIntegerField()


class Booking(models.Model):
    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE)
    period = DateTimeRangeField()
    covers = models.PositiveSmallIntegerField()
    confirmed = models.BooleanField(default=False)
    table = models.ForeignKey(Table, null=True, on_delete=models.SET_NULL)
