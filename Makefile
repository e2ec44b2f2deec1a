# make demo: the main job on a real evening.  make test: everything that must hold.  Both set up what they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint serve bench matrix messages screenshots clean help

help:  ## What there is.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml requirements.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is %d.%d; try make PYTHON=python3.12" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	touch $(STAMP)

demo: $(STAMP)  ## Seat a real evening with the legacy planner and with V3, and compare.
	@$(BIN)/python manage.py demo $(ARGS)

serve: $(STAMP)  ## Open the demo's evenings in the admin: http://127.0.0.1:8000/
	@export DATABASE_NAME=$${DATABASE_NAME:-booking_demo}; $(BIN)/python manage.py migrate --verbosity 0 && $(BIN)/python manage.py runserver --noreload $(ARGS)

lint: $(STAMP)  ## Format, lint, types, import contracts, migrations, deployment checks.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	ENVIRONMENT=production SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))') \
		ALLOWED_HOSTS=booking.test \
		DATABASE_URL="postgresql://booking@database.test/booking?sslmode=require" FEATURE_ASSIGNMENT_PIPELINE_V3=false $(BIN)/python manage.py check --deploy --fail-level WARNING

test: lint  ## Lint, and all tests on PostgreSQL.
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

bench: $(STAMP)  ## Measure and print; fails on nothing.
	@$(BIN)/python -m tests.bench $(ARGS)

screenshots: $(STAMP)  ## Take the documentation's pictures anew, of every page; needs chromium.
	@$(BIN)/python -m tests.screenshots $(ARGS)

matrix:  ## All tests on each Python that is on PATH, with the Django that goes with it.
	@for pair in 3.11:5.2 3.12:6.0 3.13:6.1 3.14:6.1; do \
		python=python$${pair%%:*}; django=$${pair##*:}; venv=.venv-$${pair%%:*}; \
		if ! $$python -c '' 2>/dev/null; then echo "$$python is not here."; continue; fi; \
		echo "$$python with Django $$django"; \
		$$python -m venv $$venv && \
		$$venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt "django~=$$django.0" && \
		$$venv/bin/python -m pytest -n 2 --dist loadgroup -q $(ARGS) || exit 1; \
	done

messages: $(STAMP)  ## Bring the translations up to date with the code; needs gettext.
	@for package in $$(dirname */apps.py | grep -v example); do \
		(cd $$package && ../$(BIN)/python -m django makemessages --locale de --no-location --no-obsolete && \
		../$(BIN)/python -m django compilemessages) || exit 1; \
	done

clean:  ## Forget the virtual environment, the embedded database, and every cache.
	rm -rf $(VENV) .venv-* .postgres .postgres.lock .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
