"""``Dockerfile`` and ``compose.yaml``: what they name is there, and what they run can be run.

Neither Docker nor hadolint is asked, for neither can be had from a package index: the files are read, their commands are
parsed by the commands' own parsers, and Prometheus' settings are checked by promtool. No image is built here.
"""

import ast
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands, load_command_class

from tests.debian import program
from tests.ops.prometheus import OPS, RULES

PROJECT = OPS.parent
COMPOSE = yaml.safe_load((PROJECT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (PROJECT / "Dockerfile").read_text().replace("\\\n", " ")
CRON = OPS / "compose" / "cron.sh"
IN_DISTRIBUTION = {"csp": "django-csp", "rich": "rich", "psycopg": "psycopg", "django": "django"}
"""What the example imports, and which distribution brings it."""


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} +(.+)$", DOCKERFILE, re.MULTILINE)


def words(command: Any) -> list[str]:
    return [str(word) for word in command] if isinstance(command, list) else shlex.split(command)


def commands() -> Iterator[tuple[str, list[str]]]:
    """Everything that is run with ``manage.py``, and where it stands."""
    (image,) = re.findall(r"^CMD +(\[.+\])$", DOCKERFILE, re.MULTILINE)
    yield "Dockerfile", json.loads(image)
    for name, service in SERVICES.items():
        if "command" in service and "manage.py" in words(service["command"]):
            yield name, words(service["command"])
    for line in re.findall(r"^\s*(python manage\.py .+)$", CRON.read_text(), re.MULTILINE):
        yield CRON.name, shlex.split(line)
    for line in re.findall(r"docker compose run --rm web (python .+?)(?: {2,}#.*)?$", compose_text(), re.MULTILINE):
        yield "compose.yaml, top", shlex.split(line)


def compose_text() -> str:
    return (PROJECT / "compose.yaml").read_text()


@pytest.mark.legacy_planner
def test_each_command_is_one_and_its_options_are_its_own() -> None:
    found = list(commands())
    assert {place for place, _command in found} == {"Dockerfile", "migrate", "worker", "cron.sh", "compose.yaml, top"}
    for place, (python, manage, name, *arguments) in found:
        assert (python, manage) == ("python", "manage.py"), place
        command = load_command_class(get_commands()[name], name)
        command.create_parser("manage.py", name).parse_args(arguments)  # Exits where one is wrong.


@pytest.mark.legacy_planner
def test_cron_runs_what_the_readme_has_it_run() -> None:
    lines = re.findall(
        r"cd /srv/booking && \.venv/bin/(python manage\.py [^#\n]+)", (PROJECT / "README.md").read_text()
    )
    told = {line.strip() for line in lines if "run_coordinator" not in line}
    assert {shlex.join(command) for place, command in commands() if place == CRON.name} == told
    assert subprocess.run(["sh", "-n", CRON], check=False).returncode == 0


def test_every_image_is_pinned_and_names_no_registry() -> None:
    from_own_build = {each.rpartition(" AS ")[2] for each in instructions("FROM") if " AS " in each}
    images = [each.partition(" ")[0] for each in instructions("FROM")]
    images += [service["image"] for service in SERVICES.values() if "build" not in service]
    assert len(images) == 5
    for image in images:
        if image not in from_own_build:
            assert re.fullmatch(r"(?:[a-z]+/)?[a-z]+:v?\d+\.\d+(?:\.\d+)?(?:-[a-z-]+)?", image), image


def test_what_is_mounted_or_copied_is_there() -> None:
    mounted = [
        source
        for service in SERVICES.values()
        for volume in service.get("volumes", ())
        if (source := str(volume).partition(":")[0]).startswith(".")
    ]
    assert len(mounted) == 6
    assert [each for each in mounted if not (PROJECT / each).exists()] == []
    named = {str(volume).partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())}
    assert {each for each in named if not each.startswith(".")} == set(COMPOSE["volumes"])
    copied = [source for line in instructions("COPY") if not line.startswith("--from") for source in line.split()[:-1]]
    assert [each for each in copied if not (PROJECT / each).exists()] == []


def test_what_is_private_or_large_stays_out_of_the_image() -> None:
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    assert {".env", ".git", ".postgres*", ".venv*", "tests"} <= set(ignored)
    copied = {Path(source).parts[0] for line in instructions("COPY") for source in line.split()[:-1] if source != "."}
    assert copied & set(ignored) == set()


def test_each_service_has_a_health_check_and_waits_for_healthy_ones() -> None:
    (inherited,) = instructions("HEALTHCHECK")
    assert "/health/" in inherited
    for name, service in SERVICES.items():
        check = service.get("healthcheck")
        if name == "migrate":  # It ends.
            assert check == {"disable": True}
        elif check is None:
            assert "build" in service
            assert "command" not in service, f"{name} has the web server's health check"
        else:
            assert check["test"][0] in {"CMD", "CMD-SHELL"}
        for other, condition in service.get("depends_on", {}).items():
            ends = other == "migrate"
            assert condition["condition"] == ("service_completed_successfully" if ends else "service_healthy")


def test_nothing_is_open_to_others_and_nothing_runs_as_root() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == 3
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    assert instructions("USER") == ["booking"]


def test_the_image_has_what_the_example_imports() -> None:
    dependencies = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    installed = " ".join([*dependencies, *instructions("RUN")])
    own = {"assignments", "legacy_planner", "rollout", "example"}
    imported = set()
    for path in (PROJECT / "example").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:  # What functions import is for the embedded server.
            if isinstance(node, ast.Import):
                imported |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    missing = {
        module
        for module in imported - own - sys.stdlib_module_names
        if not re.search(rf"\b{IN_DISTRIBUTION.get(module, module)}\b", installed)
    }
    assert missing == set()


def test_prometheus_scrapes_the_services_by_their_names_and_loads_every_rule() -> None:
    path = OPS / "compose" / "prometheus.yml"
    promtool = program("promtool", "prometheus")
    subprocess.run([promtool, "check", "config", "--syntax-only", path], check=True, capture_output=True)
    config = yaml.safe_load(path.read_text())
    assert config["rule_files"] == [rules.name for rules in RULES]
    targets = [
        target for job in config["scrape_configs"] for group in job["static_configs"] for target in group["targets"]
    ]
    assert targets == ["web:8000", "worker:9100"]
    assert {target.partition(":")[0] for target in targets} <= SERVICES.keys()
    assert "0.0.0.0:9100" in words(SERVICES["worker"]["command"])
    (token,) = SERVICES["prometheus"]["configs"]
    assert config["scrape_configs"][0]["authorization"]["credentials_file"] == token["target"]
    assert COMPOSE["configs"][token["source"]]["content"] == SERVICES["web"]["environment"]["METRICS_TOKEN"]
    assert "web" in SERVICES["web"]["environment"]["ALLOWED_HOSTS"].split(",")


def test_grafana_reads_prometheus_and_the_dashboards() -> None:
    folder = OPS / "compose" / "grafana"
    (source,) = yaml.safe_load((folder / "datasources.yml").read_text())["datasources"]
    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", "http://prometheus:9090", True)
    (provider,) = yaml.safe_load((folder / "dashboards.yml").read_text())["providers"]
    mounts = dict(str(volume).split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    assert mounts["./ops/grafana"] == provider["options"]["path"]


def test_the_environment_has_only_variables_that_the_example_reads() -> None:
    documented = set(re.findall(r"^([A-Z_0-9]+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE))
    for name, service in SERVICES.items():
        if "build" in service:
            assert set(service["environment"]) - documented == set(), name


def test_paths_of_scripts_are_those_of_the_image() -> None:
    _sh, script = words(SERVICES["cron"]["command"])
    assert f"ops/compose/{Path(script).name} {script}" in instructions("COPY")
