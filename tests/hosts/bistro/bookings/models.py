from django.db import models


class DiningTable(models.Model):
    number = models.CharField(max_length=10)
    places = models.IntegerField()


class Visit(models.Model):
    day = models.DateField()
    hour = models.TimeField()
    guests = models.IntegerField()
    stage = models.IntegerField(default=0)  # 0 asked, 1 confirmed, 2 cancelled
    at = models.ManyToManyField(DiningTable, blank=True)
