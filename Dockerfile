# The example booking project with the apps installed from their wheel, as a booking project would install them.
# For trying it out (compose.yaml), and as a pattern for a project's own image. It brings no embedded PostgreSQL.

FROM python:3.14.0-slim-trixie AS build
RUN python -m pip install --no-cache-dir --disable-pip-version-check "build>=1.2,<2" "hatchling>=1.27,<2"
WORKDIR /source
COPY . .
RUN python -m build --wheel --no-isolation --outdir /wheels

FROM python:3.14.0-slim-trixie
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /wheels /wheels
RUN python -m pip install --no-cache-dir --disable-pip-version-check /wheels/*.whl \
        "psycopg[binary]>=3.2,<4" "django-csp>=4,<5" "tzdata>=2025.2" \
    && useradd --create-home --uid 10001 booking \
    && install --directory --owner booking /app
WORKDIR /app
COPY manage.py ./
COPY example example
COPY ops/compose/cron.sh /usr/local/bin/cron.sh
USER booking
# Only the password of the demo's user is kept there. The database is another service's.
ENV EMBEDDED_POSTGRES_DATA=/home/booking/postgres
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/', timeout=4)"]
# Django's development server, which also serves the example's static files. A project of your own has its own server.
CMD ["python", "manage.py", "runserver", "--noreload", "0.0.0.0:8000"]
