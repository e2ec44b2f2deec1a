from django.db import models


class Bench(models.Model):
    seats = models.IntegerField()
    beside = models.ManyToManyField("self", blank=True)


class Kept(models.Manager):
    def get_queryset(self):
        return super().get_queryset().filter(deleted=False)


class Picnic(models.Model):
    start = models.DateTimeField()
    people = models.PositiveSmallIntegerField()
    status = models.PositiveSmallIntegerField(default=0)  # 0 new, 1 fixed, 2 refused
    deleted = models.BooleanField(default=False)
    benches = models.ManyToManyField(Bench, blank=True)

    objects = Kept()
    all_objects = models.Manager()
