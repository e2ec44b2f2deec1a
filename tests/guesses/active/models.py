"""A flag that every booking has until it is cancelled."""

from django.db import models


class Restaurant(models.Model):
    name = models.CharField(max_length=50)


class Table(models.Model):
    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE)
    number = models.PositiveIntegerField()
    capacity = models.PositiveIntegerField()


class Reservation(models.Model):
    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE)
    reservation_datetime = models.DateTimeField()
    num_guests = models.IntegerField()
    table = models.ForeignKey(Table, null=True, on_delete=models.SET_NULL)
    is_active = models.BooleanField(default=True)
