"""Rules for whole packages: the core is pure, and no bug of ours is caught as bad input."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LANES = ("schemas", "streams", "sinks")
PURE = (
    "schemas/compatibility.py",
    "schemas/convert.py",
    "schemas/wire.py",
    "sinks/buffer.py",
    "sinks/rows.py",
    "streams/aggregate.py",
    "streams/asked.py",
    "streams/avro.py",
    "streams/avro_rows.py",
    "streams/columns.py",
    "streams/decode.py",
    "streams/partials.py",
    "streams/price.py",
    "streams/reduce.py",
    "streams/rules.py",
    "streams/scores.py",
    "streams/sketch.py",
    "streams/types.py",
    "streams/validate.py",
    "streams/statistics",
    "agents/evaluation/aggregate.py",
    "agents/evaluation/agreement.py",
    "agents/evaluation/confusion.py",
    "agents/evaluation/intervals.py",
    "agents/evaluation/judged_means.py",
    "agents/evaluation/labelled.py",
    "agents/evaluation/outcome.py",
    "agents/evaluation/reducers.py",
    "agents/policy",
    "agents/evaluation/runner/adapters/anthropic.py",
    "agents/evaluation/runner/adapters/base.py",
    "agents/evaluation/runner/adapters/openai.py",
    "agents/evaluation/runner/concurrency.py",
    "agents/evaluation/runner/failures.py",
    "agents/evaluation/runner/pace.py",
    "agents/evaluation/runner/progress.py",
    "agents/evaluation/runner/sse.py",
    "agents/evaluation/runner/target.py",
    "infra/scripted_endpoint/bodies.py",
)
IMPURE = {
    "asyncio",
    "clickhouse_connect",
    "confluent_kafka",
    "faust",
    "httpx",
    "os",
    "pathlib",
    "random",
    "requests",
    "secrets",
    "socket",
    "subprocess",
    "sys",
    "threading",
    "time",
}
CLOCKS = {"now", "today", "utcnow", "monotonic", "perf_counter", "uuid1", "uuid4"}
CATCHES_ALL = {"streams/registry_view.py", "streams/follow.py"}
"""Threads that keep the error for whoever asks next."""


def modules(*places: str) -> Iterator[tuple[str, ast.Module]]:
    for place in places:
        path = ROOT / place
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            yield str(file.relative_to(ROOT)), ast.parse(file.read_text())


def impurities(tree: ast.AST) -> Iterator[str]:
    """Imports and calls that reach outside, or ask for the time or for chance."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.partition(".")[0] in IMPURE)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in IMPURE:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            yield from _impure_call(node)


def _impure_call(node: ast.Call) -> Iterator[str]:
    match node.func:
        case ast.Attribute(attr=name) | ast.Name(id=name) if name in CLOCKS:
            yield f"{name}()"
        case ast.Attribute(attr="default_rng") if not node.args:
            yield "default_rng() without a seed"
        case ast.Name(id="open" | "input" | "print" as name):
            yield f"{name}()"


def catches_all(tree: ast.AST) -> list[int]:
    """Lines of handlers for everything, which would take our own bugs for bad input."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            named = ast.walk(node.type) if node.type is not None else ()
            names = {n.id for n in named if isinstance(n, ast.Name)}
            if node.type is None or names & {"Exception", "BaseException"}:
                found.append(node.lineno)
    return found


@pytest.mark.parametrize("place", PURE)
def test_the_core_is_pure(place: str) -> None:
    found = {name: list(impurities(tree)) for name, tree in modules(place)}
    assert {name: what for name, what in found.items() if what} == {}


def test_an_impurity_is_seen() -> None:
    source = "import time\nfrom random import random\nx = datetime.now()\nopen('f')\n"
    assert list(impurities(ast.parse(source))) == ["time", "random", "now()", "open()"]


def test_nothing_catches_everything() -> None:
    found = {name: catches_all(tree) for name, tree in modules(*LANES)}
    assert {name for name, lines in found.items() if lines} <= CATCHES_ALL


def test_a_catch_all_is_seen() -> None:
    source = "try:\n    f()\nexcept (ValueError, Exception):\n    pass\n"
    assert catches_all(ast.parse(source)) == [3]
