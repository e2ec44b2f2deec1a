from django.db import models


class Table(models.Model):
    name = models.CharField(max_length=10)
    seats = models.IntegerField()


class Booking(models.Model):
    day = models.DateField()
    time = models.TimeField()
    guests = models.IntegerField()
    status = models.CharField(
        max_length=10, choices=[(each, each) for each in ("pending", "confirmed", "cancelled")], default="pending"
    )
    table = models.ForeignKey(Table, null=True, blank=True, on_delete=models.SET_NULL)
