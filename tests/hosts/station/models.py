from django.db import models


class Table(models.Model):
    seats = models.CharField(max_length=4)


class Stop(models.Model):
    day = models.DateField()
    hour = models.CharField(max_length=8)
    until = models.TimeField(null=True, blank=True)
    party = models.CharField(max_length=4)
    status = models.CharField(max_length=10, default="pending")
    table = models.ForeignKey(Table, null=True, blank=True, on_delete=models.SET_NULL)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["table", "day", "hour"], condition=~models.Q(status="cancelled"), name="one_party_at_a_time"
            )
        ]
