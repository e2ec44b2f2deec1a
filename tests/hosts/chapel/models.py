from django.db import models


class Pew(models.Model):
    seats = models.IntegerField()


class Feast(models.Model):
    starts = models.DateTimeField()
    party = models.IntegerField()
    status = models.CharField(max_length=10, default="pending")
    pew = models.OneToOneField(Pew, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    seat = models.ForeignKey(Pew, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
