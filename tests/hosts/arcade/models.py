from django.db import models


class House(models.Model):
    name = models.CharField(max_length=50)


class Area(models.Model):
    house = models.ForeignKey(House, on_delete=models.CASCADE)
    name = models.CharField(max_length=20)


class Table(models.Model):
    area = models.ForeignKey(Area, on_delete=models.CASCADE)
    number = models.CharField(max_length=10)
    seats = models.IntegerField()


class Reservation(models.Model):
    house = models.ForeignKey(House, on_delete=models.CASCADE)
    start = models.DateTimeField()
    party = models.IntegerField()
    status = models.TextField(default="pending")
    table = models.ForeignKey(Table, null=True, blank=True, on_delete=models.SET_NULL)
