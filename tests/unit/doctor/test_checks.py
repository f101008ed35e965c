"""What single checks make of what they see."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from infra.doctor import machine, processes, registry
from infra.doctor.checks import CHECKS
from infra.doctor.clickhouse import expected
from infra.doctor.finding import Level
from infra.settings import Settings
from schemas.entities import (
    AbTest,
    Arm,
    Entity,
    MetricGoal,
    Model,
    ModelCapability,
    Price,
    SelectionPolicy,
)
from schemas.records import RegistryFact
from sinks.tables import TABLES
from streams.registry_view import RegistrySnapshot

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
MODEL = Model("acme", "small", "1", "us", ("chat",), prices=(Price(SINCE, 0.1, 0.2),))
POLICY = SelectionPolicy("acme", "chat", fallback=("small",))
TEST = AbTest(
    "acme",
    "sizes",
    "chat",
    "user",
    (Arm("a", "small"), Arm("b", "small")),
    "a",
    (MetricGoal("quality", "primary", "higher"),),
)


def judged(*entities: Entity) -> list[tuple[str, str]]:
    snapshot = RegistrySnapshot()
    for entity in entities:
        fact = RegistryFact(1, "me", SINCE, "c", entity)
        snapshot = snapshot.with_fact(entity.key, fact)
    found = registry.judge(snapshot)
    return [(f.level.value, f.what) for f in found if f.level is not Level.OK]


def test_every_check_has_a_name_of_its_own_and_known_needs() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    assert all(set(check.needs) <= set(names) for check in CHECKS)


def test_a_registry_that_fits_together() -> None:
    assert judged(MODEL, POLICY, TEST) == []


def test_who_masters_a_capability_serves_those_below_it() -> None:
    words = ModelCapability("acme", "chat"), ModelCapability("acme", "chat/law", parent="chat")
    below = replace(POLICY, capability="chat/law")
    assert judged(MODEL, below, *words) == []
    strict = replace(words[1], required_features=("tools",))
    assert any("no active model has that" in what for _, what in judged(MODEL, below, strict))


@pytest.mark.parametrize(
    ("entities", "level", "words"),
    [
        ((), "hint", "no model is registered"),
        ((replace(MODEL, prices=()),), "hint", "without a price: acme/small 1"),
        ((replace(MODEL, capabilities=("code",)), POLICY), "problem", "no active model has that"),
        ((replace(MODEL, status="retired"), POLICY), "problem", "no active model has that"),
        ((replace(MODEL, org_id="other"), POLICY), "problem", "no active model has that"),
        ((MODEL, replace(POLICY, fallback=("nope",))), "problem", "fallback nope is not"),
        ((MODEL, replace(TEST, arms=(Arm("a", "small"), Arm("b", "x")))), "problem", "model x"),
    ],
)
def test_a_registry_that_does_not(entities: tuple[Entity, ...], level: str, words: str) -> None:
    assert any(found[0] == level and words in found[1] for found in judged(*entities))


def test_room_on_disk() -> None:
    gib = machine.GIB
    levels = [
        machine._room("disk", "/x", free, 500 * gib).level
        for free in (200 * gib, 11 * gib, 9 * gib, gib // 2)
    ]
    assert levels == [Level.OK, Level.OK, Level.HINT, Level.PROBLEM]
    assert machine._room("disk", "/x", 5 * gib, 20 * gib).level is Level.OK


def test_clocks_are_judged_by_what_is_certain() -> None:
    def level(ahead_s: float, within_s: float) -> Level:
        return machine._skew("Kafka", ahead_s, within_s)[0].level

    assert level(1.0, 0.1) is Level.OK
    assert level(9.0, 8.0) is Level.OK
    assert level(-9.0, 0.1) is Level.HINT
    assert level(200.0, 0.1) is Level.PROBLEM


def test_the_tables_that_migrations_make_are_those_that_sinks_write() -> None:
    tables, functions = expected()
    assert {spec.table for spec in TABLES.values()} <= set(tables)
    assert "metric_hours_rollup" in tables
    assert "rheostat_quantile" in functions


def run_dir(tmp_path: Path, **pids: int) -> Settings:
    (tmp_path / "run").mkdir()
    for name, pid in pids.items():
        (tmp_path / "run" / f"{name}.pid").write_text(f"{pid}\n")
    targets = [{"targets": ["127.0.0.1:1"], "labels": {"process": "sinks"}}]
    (tmp_path / "run" / "targets.json").write_text(json.dumps(targets))
    return Settings(data_dir=tmp_path)


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(10)
    return process.pid


def test_no_stack_here_is_no_problem(tmp_path: Path) -> None:
    (found,) = processes.processes(Settings(data_dir=tmp_path))
    assert found.level is Level.SKIPPED


def test_a_supervisor_that_died_is_told(tmp_path: Path) -> None:
    (found,) = processes.processes(run_dir(tmp_path, supervisor=dead_pid(), kafka=dead_pid()))
    assert found.level is Level.PROBLEM
    assert "ended without stopping" in found.what
    assert "rheostat up" in found.do


def test_a_process_that_is_not_there_is_told(tmp_path: Path) -> None:
    settings = run_dir(tmp_path, supervisor=os.getpid(), kafka=os.getpid(), streams=dead_pid())
    found = processes.processes(settings)
    assert {f.subject for f in found} == {"streams", "sinks"}
    assert {f.what for f in found} == {"is not running now"}
