from django.db import models


class Nook(models.Model):
    title = models.CharField(max_length=20)
    seats = models.IntegerField()


class Supper(models.Model):
    begins = models.DateTimeField()
    party = models.IntegerField()
    cancelled_at = models.DateTimeField(null=True, blank=True)
    nook = models.ForeignKey(Nook, null=True, blank=True, on_delete=models.SET_NULL)
