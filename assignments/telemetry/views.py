"""What machines ask over HTTP: metrics for Prometheus, health for load balancers and cron monitors.

None of them tells a secret or a guest. All work while the database is away, and say so; none needs a session.
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
    """Everything for Prometheus: this server's own metrics as django-prometheus exports them, then those of the database.

    For whoever says ``Authorization: Bearer`` and METRICS_TOKEN, and for users with the permission to view Health.
    401 for those who say nothing or the wrong thing, 403 for users without it.
    """
    if not _knows_token(request):
        user = getattr(request, "user", None)
        if user is None or not _is_known(user):
            refused = HttpResponse("Authorization: Bearer METRICS_TOKEN is needed.\n", "text/plain", status=401)
            refused["WWW-Authenticate"] = 'Bearer realm="metrics"'
            return refused
        if not user.has_perm(PERMISSION):
            return HttpResponse(f"The permission {PERMISSION} is needed.\n", "text/plain", status=403)
    of_this_server: HttpResponse = ExportToDjangoView(request)
    body = of_this_server.content + generate_latest(REGISTRY)
    return HttpResponse(body, content_type=of_this_server["Content-Type"])


@require_safe
@never_cache
@transaction.non_atomic_requests
def health(request: HttpRequest) -> JsonResponse:
    """For load balancers: 200 while this server reaches its database, else 503 and why. One query."""
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
    """For cron monitors: 200 while runs of run_coordinator succeed and keep up, 503 and why when they do not. One query,
    limited in time.

    Too late is what is older than CRON_SECONDS.
    """
    try:
        with transaction.atomic():
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
    """The type only: what a driver says names hosts and users."""
    log_error(logger, error, "The database did not answer a health check", level=logging.WARNING)
    reason = f"The database does not answer as it should ({type(error).__name__})."
    return JsonResponse({"status": "unavailable", "reason": reason}, status=503)


def _is_known(user: Any) -> bool:
    """Whether the user is logged in. While the database is away nobody can tell, so nobody is."""
    try:
        return bool(user.is_authenticated)
    except (DatabaseError, InterfaceError):
        return False


def _knows_token(request: HttpRequest) -> bool:
    token = conf.settings().METRICS_TOKEN
    scheme, _space, said = request.headers.get("Authorization", "").partition(" ")
    is_same = secrets.compare_digest(said.strip().encode(), token.encode())
    return bool(token) and scheme.lower() == "bearer" and is_same
