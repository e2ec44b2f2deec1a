# make demo: the main job on a real evening.  make test: lint, types and all tests.  Both set up what they need.

PYTHON ?= python3
VENV := .venv
PYTEST = $(BIN)/python -m pytest --dist loadgroup --no-loadscope-reorder
NEWEST = tests/assignments/coordination/test_coordinator.py tests/assignments/coordination/test_invocation.py tests/example/test_queries.py tests/rollout/shadow/test_recorder.py
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The tests start hundreds of processes, and none should compile again what the first one did.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo shell test test-quick test-played test-random fuzz test-upgrade test-scripts test-night test-removal test-newest chaos mutants lint lint-types lint-rest lint-deploy serve bench power docs audit matrix messages screenshots clean help

help:  ## List the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMP): pyproject.toml requirements.txt
	@echo "Creating $(VENV) and installing the requirements." >&2
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is %d.%d; try make PYTHON=python3.12" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV) >&2
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --requirement requirements.txt >&2
	@touch $(STAMP)

demo: $(STAMP)  ## Seat a real evening with the legacy planner and with V3, and compare. Removes an earlier demo.
	@$(BIN)/python manage.py demo --yes $(ARGS)

serve: $(STAMP)  ## Serve the demo's evenings, with the coordinator and all that runs beside it; Ctrl-C ends it.
	@$(BIN)/python manage.py serve $(ARGS)

shell: $(STAMP)  ## A Python shell with the project's models, on the demo's data.
	@$(BIN)/python manage.py shell $(ARGS)

lint: $(STAMP)  ## Format, lint, types, import contracts, structure, migrations, deployment checks.
	@$(MAKE) --no-print-directory -j 2 lint-types lint-rest

lint-types:
	$(BIN)/mypy

lint-rest:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/python -m tests.structure
	$(BIN)/python manage.py makemigrations --check --dry-run
	@$(MAKE) --no-print-directory lint-deploy

lint-deploy:
	ENVIRONMENT=production SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))') \
		ALLOWED_HOSTS=booking.test \
		DATABASE_URL="postgresql://booking@database.test/booking?sslmode=require" FEATURE_ASSIGNMENT_PIPELINE_V3=true $(BIN)/python manage.py check --deploy --fail-level WARNING

test: lint  ## Lint, then all tests on PostgreSQL except test-removal.
	$(PYTEST) -n 3 $(ARGS)

test-quick: $(STAMP)  ## Only tests without pages, browsers, servers, other programs, migrations, waiting or whole evenings.
	$(PYTEST) -n 2 --quick -q $(ARGS)

test-played: $(STAMP)  ## Play 5,000 steps of evenings that nobody thought of; PLAYED_SEED=N plays others.
	TEST_DATABASE_NAME=test_played PLAYED_STEPS=5000 $(PYTEST) -n 2 -q tests/assignments/test_played_evenings.py $(ARGS)

fuzz: $(STAMP)  ## Odd variables, arguments, files and forms: FUZZ_EXAMPLES=N of each, new ones each time.
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-200} $(PYTEST) -n 2 -q --timeout 3600 tests/fuzz $(ARGS)

test-random: $(STAMP)  ## The quick tests in random order, in four processes; ARGS=--randomly-seed=N repeats an order.
	$(PYTEST) -n 4 --quick -q -p randomly $(ARGS)

test-night: $(STAMP)  ## Nearly all tests at ten to midnight before clock changes and on 29 February, and in summer.
	@$(BIN)/python -m tests.night $(ARGS)

test-upgrade: $(STAMP)  ## The release that tests/upgrade/BASE names on today's tables, and the way back.
	TEST_DATABASE_NAME=test_upgrade $(PYTEST) -n 0 -q -m upgrade tests/upgrade $(ARGS)

test-scripts: $(STAMP)  ## The manager's and the operator's script of docs/pages.md, in a browser; WRITE_STEPS=1 writes the steps.
	TEST_DATABASE_NAME=test_scripts $(PYTEST) -n 0 -q -m scripts tests/browser/test_scripts.py $(ARGS)

test-removal: $(STAMP)  ## The whole suite on a copy without the legacy planner. Takes minutes.
	$(BIN)/python -m pytest -n 0 -m full_removal $(ARGS)

chaos: $(STAMP)  ## Every fault at every point, on a server of its own; resumes where it stopped; ARGS=--quick less.
	@$(BIN)/python -m tests.chaos $(ARGS)

mutants: $(STAMP)  ## Small mistakes in the code that decides: does a test notice each? Goes on where it was; ARGS="--only FILE".
	@$(BIN)/python -m tests.mutants $(ARGS)

bench: $(STAMP)  ## Run the benchmarks and print the results; never fails.
	@$(BIN)/python -m tests.bench $(ARGS)

power: $(STAMP)  ## Simulate 1,000 weeks: how often gates and guard are wrong, how fast they find faults; ARGS="--weeks 50".
	@$(BIN)/python -m tests.power $(ARGS)

screenshots: $(STAMP)  ## Retake the documentation's pictures of every page; needs chromium.
	@$(BIN)/python -m tests.screenshots $(ARGS)

docs: $(STAMP)  ## Build the documentation into docs/_build; fails at a broken link.
	@$(BIN)/sphinx-build -W -n --keep-going -q -b html docs docs/_build/html $(ARGS)
	@echo "docs/_build/html/index.html"

audit: $(STAMP)  ## Look for known vulnerabilities of what is installed; needs access to PyPI's vulnerability data.
	@$(PYTHON) -m venv .audit && .audit/bin/python -m pip install -qq --disable-pip-version-check 'pip-audit>=2.9,<3'
	@.audit/bin/pip-audit --strict --skip-editable --progress-spinner off --path $(VENV)/lib/python3*/site-packages $(ARGS)

matrix:  ## All tests on each Python, with each Django and each PostgreSQL; ARGS="--only 3.13 --quick", --list.
	@$(PYTHON) -m tests.matrix $(ARGS)

test-newest:  ## Some tests on the newest Python that is there and the newest Django; says what is missing.
	@$(PYTHON) -m tests.matrix --newest -- $(NEWEST) $(ARGS) || [ $$? -eq 3 ]

messages: $(STAMP)  ## Update the translation catalogues from the code; needs gettext.
	@for package in $$(dirname */apps.py | grep -v example); do \
		(cd $$package && ../$(BIN)/python -m django makemessages --locale de --no-location --no-obsolete && \
		../$(BIN)/python -m django compilemessages) || exit 1; \
	done

clean:  ## Delete the virtual environment, the embedded databases, and every cache.
	rm -rf /dev/shm/table-assignments-$$(printf %s "$$(pwd -P)" | sha256sum | cut -c1-12)*
	rm -rf docs/_build
	rm -rf $(VENV) .audit .chaos .matrix .mutants .postgres .postgres.lock .postgres.demo-password .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
