"""An arrival and a departure, three kinds of guests, and tables in rows that must say more."""

from django.db import models


class Restaurant(models.Model):
    name = models.CharField(max_length=50)


class Table(models.Model):
    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE)
    number = models.PositiveIntegerField()
    capacity = models.PositiveIntegerField()


class Reservation(models.Model):
    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE)
    arrival = models.DateTimeField()
    departure = models.DateTimeField()
    calendar_synced = models.DateTimeField(null=True)
    adults = models.IntegerField()
    children = models.IntegerField(default=0)
    infants = models.IntegerField(default=0)
    status = models.CharField(
        max_length=20, choices=[("requested", "R"), ("approved", "A"), ("rejected", "Rj")], default="requested"
    )
    tables = models.ManyToManyField(Table, through="ReservationTable")


class ReservationTable(models.Model):
    reservation = models.ForeignKey(Reservation, on_delete=models.CASCADE)
    table = models.ForeignKey(Table, on_delete=models.CASCADE)
    assigned_at = models.DateTimeField(auto_now_add=True)
