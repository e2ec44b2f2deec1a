"""Bookings whose restaurants, tables and hours are of another app."""

from django.db import models


class Booking(models.Model):
    house = models.ForeignKey("shapes.House", on_delete=models.CASCADE)
    starts_at = models.DateTimeField()
    party_size = models.IntegerField()
    status = models.CharField(max_length=10, default="pending")
    board = models.ForeignKey("shapes.Board", null=True, on_delete=models.SET_NULL)
