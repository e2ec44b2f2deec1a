"""For a project's URLs: ``path("", include("assignments.urls"))``."""

from django.urls import path

from assignments.telemetry import views

app_name = "assignments"
urlpatterns = [
    path("metrics", views.metrics, name="metrics"),
    path("health/", views.health, name="health"),
    path("health/cron/", views.cron_health, name="cron_health"),
]
