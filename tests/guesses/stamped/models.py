"""Every row says when it was made and changed."""

from django.db import models


class Restaurant(models.Model):
    name = models.CharField(max_length=50)


class Stamped(models.Model):
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    archived_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True


class Table(Stamped):
    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE)
    number = models.PositiveIntegerField()
    capacity = models.PositiveIntegerField()


class Booking(Stamped):
    restaurant = models.ForeignKey(Restaurant, on_delete=models.CASCADE)
    starts_at = models.DateTimeField()
    party_size = models.PositiveSmallIntegerField()
    status = models.CharField(
        max_length=10, choices=[("pending", "Pending"), ("confirmed", "Confirmed"), ("cancelled", "Cancelled")]
    )
    table = models.ForeignKey(Table, null=True, on_delete=models.SET_NULL)


class BookingNote(Stamped):
    booking = models.ForeignKey(Booking, on_delete=models.CASCADE)
    written_on = models.DateField()
