"""A slot with a date and a time, and a capacity."""

from django.db import models


class Order(models.Model):
    created = models.DateTimeField(auto_now_add=True)


class TimeSlot(models.Model):
    date = models.DateField()
    start_time = models.TimeField()
    end_time = models.TimeField()
    capacity = models.IntegerField(default=40)


class Table(models.Model):
    name = models.CharField(max_length=10)
    capacity = models.IntegerField()


class Booking(models.Model):
    slot = models.ForeignKey(TimeSlot, on_delete=models.PROTECT)
    guests = models.IntegerField()
    table = models.ForeignKey(Table, null=True, on_delete=models.SET_NULL)
    cancelled = models.BooleanField(default=False)
