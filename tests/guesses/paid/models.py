"""A status of the payment beside the booking's own, and a date that is a moment."""

from django.db import models


class Restaurant(models.Model):
    name = models.CharField(max_length=50)


class Table(models.Model):
    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE)
    number = models.PositiveIntegerField()
    capacity = models.PositiveIntegerField()


class Booking(models.Model):
    checked_in_at = models.DateTimeField(null=True)
    booking_date = models.DateTimeField()
    payment_status = models.CharField(max_length=10, choices=[("unpaid", "Unpaid"), ("paid", "Paid")], default="unpaid")
    status = models.CharField(
        max_length=10,
        choices=[("PENDING", "Pending"), ("CONFIRMED", "Confirmed"), ("CANCELED", "Canceled")],
        default="PENDING",
    )
    number_of_guests = models.IntegerField()
    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE)
    table = models.ForeignKey(Table, null=True, on_delete=models.SET_NULL)
