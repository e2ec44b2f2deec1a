"""HTTP endpoints: metrics for Prometheus, health for load balancers and cron monitors.

They reveal no secrets or guest data. They respond even if the database is unavailable, and need no session.
"""

import logging
import secrets
from typing import Any

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_prometheus.exports import ExportToDjangoView
from prometheus_client import generate_latest

from assignments import conf
from assignments.concurrency import transactions
from assignments.error_logging import log_error
from assignments.telemetry.health import vitals
from assignments.telemetry.metrics.collector import REGISTRY

logger = logging.getLogger("assignments.endpoints")

STATEMENT_TIMEOUT_MS = 2000
PERMISSION = "assignments.view_health"


@require_safe
@never_cache
@transaction.non_atomic_requests
def metrics(request: HttpRequest) -> HttpResponse:
    """Export all metrics for Prometheus: this server's from django-prometheus, then those from the database.

    Requires ``Authorization: Bearer`` with METRICS_TOKEN, or a user with permission to view Health. 401 without valid
    credentials, 403 for users without the permission.
    """
    if not _knows_token(request):
        user = getattr(request, "user", None)
        if user is None or not _is_known(user):
            refused = HttpResponse(
                "Authorization: Bearer METRICS_TOKEN is required.\
",
                "text/plain",
                status=401,
            )
            refused["WWW-Authenticate"] = 'Bearer realm="metrics"'
            return refused
        if not user.has_perm(PERMISSION):
            return HttpResponse(
                f"The permission {PERMISSION} is required.\
",
                "text/plain",
                status=403,
            )
    of_this_server: HttpResponse = ExportToDjangoView(request)
    body = of_this_server.content + generate_latest(REGISTRY)
    return HttpResponse(body, content_type=of_this_server["Content-Type"])


@require_safe
@never_cache
@transaction.non_atomic_requests
def health(request: HttpRequest) -> JsonResponse:
    """Report health to load balancers: 200 if the database responds, else 503 with the reason. One query."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError) as error:
        return _unavailable(error)
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
@transaction.non_atomic_requests
def cron_health(request: HttpRequest) -> JsonResponse:
    """Report health to cron monitors: 200 if runs of run_coordinator succeed and keep up, else 503 with the reason.

    The limit is CRON_SECONDS. One query with a timeout.
    """
    try:
        with transactions.atomic():
            transactions.limit_statements(STATEMENT_TIMEOUT_MS)
            found = vitals()
    except (DatabaseError, InterfaceError) as error:
        return _unavailable(error)
    age = found.last_success_age_seconds
    facts: dict[str, Any] = {
        "last_success_age_seconds": None if age is None else round(age, 1),
        "oldest_due_age_seconds": round(found.oldest_due_age_seconds, 1),
        "due_bookings": found.due_bookings,
        "limit_seconds": conf.settings().CRON_SECONDS,
    }
    if found.cron_problem:
        return JsonResponse({"status": "late", "reason": found.cron_problem, **facts}, status=503)
    return JsonResponse({"status": "ok", **facts})


def _unavailable(error: Exception) -> JsonResponse:
    """Return a 503 with the error's type only, because driver messages name hosts and users."""
    log_error(logger, error, "The database did not answer a health check", level=logging.WARNING)
    reason = f"The database is not available ({type(error).__name__})."
    return JsonResponse({"status": "unavailable", "reason": reason}, status=503)


def _is_known(user: Any) -> bool:
    """Return whether the user is logged in; False if the database is unavailable."""
    try:
        return bool(user.is_authenticated)
    except (DatabaseError, InterfaceError):
        return False


def _knows_token(request: HttpRequest) -> bool:
    token = conf.settings().METRICS_TOKEN
    scheme, _space, said = request.headers.get("Authorization", "").partition(" ")
    is_same = secrets.compare_digest(said.strip().encode(), token.encode())
    return bool(token) and scheme.lower() == "bearer" and is_same
