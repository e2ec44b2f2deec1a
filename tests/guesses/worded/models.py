"""A time in words, and a party with decimals."""

from django.db import models


class MenuItem(models.Model):
    name = models.CharField(max_length=20)
    price = models.DecimalField(max_digits=6, decimal_places=2)


class Table(models.Model):
    table_number = models.IntegerField(unique=True)
    seats = models.IntegerField()


class Booking(models.Model):
    name = models.CharField(max_length=30)
    date = models.DateField()
    time = models.CharField(max_length=10, choices=[("12:00", "12:00 PM"), ("18:30", "6:30 PM")])
    price_per_person = models.DecimalField(max_digits=6, decimal_places=2)
    guests = models.DecimalField(max_digits=3, decimal_places=0)
    tables = models.ManyToManyField(Table)
    approved = models.BooleanField(null=True)
