"""The example's URLs: the admin, and endpoints for machines."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("assignments.urls")),
    path("favicon.ico", RedirectView.as_view(url=static("example/favicon.svg"))),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]
