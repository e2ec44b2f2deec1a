from django.db import models


class Order(models.Model):
    date = models.DateField()
    slot = models.CharField(max_length=5, choices=[(each, each) for each in ("17:00", "19:00", "21:00")])
    size = models.CharField(max_length=10, choices=[(f"{n} people", f"{n} people") for n in range(1, 7)])
    status = models.CharField(max_length=10, default="pending")
    table = models.CharField(max_length=10, blank=True)
