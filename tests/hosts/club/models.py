from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models


class Members(BaseUserManager):
    def get_by_natural_key(self, username):
        return self.get(phone=username)


class Member(AbstractBaseUser):
    phone = models.CharField(max_length=20, unique=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=True)
    is_superuser = models.BooleanField(default=True)
    USERNAME_FIELD = "phone"
    objects = Members()

    def has_perm(self, permission, instance=None):
        return self.is_superuser

    def has_module_perms(self, label):
        return self.is_superuser


class Spot(models.Model):
    label = models.CharField(max_length=10)
    seats = models.IntegerField()


class Evening(models.Model):
    member = models.ForeignKey(Member, on_delete=models.CASCADE)
    starts = models.DateTimeField()
    adults = models.IntegerField()
    children = models.IntegerField(null=True, blank=True)
    state = models.SlugField(default="asked")
    spot = models.ForeignKey(Spot, null=True, blank=True, on_delete=models.SET_NULL)
