"""A date and a time, moments that a log has, and a party with choices."""

from django.db import models


class Restaurant(models.Model):
    name = models.CharField(max_length=50)


class Table(models.Model):
    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE)
    number = models.PositiveIntegerField()
    capacity = models.PositiveIntegerField()


class Reservation(models.Model):
    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE)
    seated_at = models.DateTimeField(null=True, blank=True)
    email_opened_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    charged_at = models.DateTimeField(null=True)
    date = models.DateField()
    time = models.TimeField()
    guests = models.PositiveSmallIntegerField(choices=[(number, f"{number} guests") for number in range(1, 11)])
    deposit_per_guest = models.IntegerField(default=0)
    status = models.CharField(
        max_length=20,
        choices=[
            ("pending", "Pending"),
            ("confirmed", "Confirmed"),
            ("cancelled", "Cancelled"),
            ("seated", "Seated"),
            ("completed", "Completed"),
        ],
        default="pending",
    )
    table = models.ForeignKey(Table, null=True, blank=True, on_delete=models.SET_NULL)
