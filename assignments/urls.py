"""For a project's URLs: ``path("", include("assignments.urls"))``."""

from django.urls import path

from assignments import endpoints

app_name = "assignments"
urlpatterns = [
    path("metrics", endpoints.metrics, name="metrics"),
    path("health/", endpoints.health, name="health"),
    path("health/cron/", endpoints.cron_health, name="cron_health"),
]
