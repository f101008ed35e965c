"""Checks do not stop each other, whatever becomes of them."""

import threading
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError, KafkaException

from infra.doctor.examination import Check, examine
from infra.doctor.finding import Finding, Level, ok, problem
from infra.errors import NotReachable
from infra.settings import Settings
from sinks.errors import SinkBroken

SETTINGS = Settings()


def fine(_: Settings) -> list[Finding]:
    return [ok("fine", "all well")]


def fails(error: Exception) -> Check:
    def run(_: Settings) -> Iterator[Finding]:
        yield ok("wrong", "first part")
        raise error

    return Check("wrong", run, "it matters")


@pytest.mark.parametrize(
    ("error", "what", "do"),
    [
        (NotReachable("X does not answer: refused. Start it."), "X does not answer", "Start it."),
        (SinkBroken("ClickHouse refuses"), "ClickHouse refuses", "look again"),
        (KafkaException(KafkaError(30, "not allowed")), "Kafka does not tell: not", "DESCRIBE"),
        (TimeoutError(), "no answer in time", "DESCRIBE"),
        (ZeroDivisionError("ours"), "check itself failed: ZeroDivisionError: ours", "report"),
    ],
)
def test_a_check_that_fails_is_a_problem_and_the_others_go_on(
    error: Exception, what: str, do: str
) -> None:
    report = examine([fails(error), Check("fine", fine, "why")], SETTINGS)
    found, other = report.findings
    assert other == ok("fine", "all well")
    assert (found.subject, found.level) == ("wrong", Level.PROBLEM)
    assert what in found.what
    assert do in found.do
    assert not report.healthy


def test_a_check_that_hangs_costs_its_time_only() -> None:
    release = threading.Event()

    def hangs(_: Settings) -> list[Finding]:
        release.wait(60)
        return []

    checks = [Check("slow", hangs, "it matters", timeout_s=0.05), Check("fine", fine, "why")]
    try:
        slow, other = examine(checks, SETTINGS).findings
    finally:
        release.set()
    assert slow.what == "no answer within 0.05 s"
    assert slow.why == "it matters"
    assert other.level is Level.OK


def test_what_needs_a_part_with_problems_is_not_asked() -> None:
    asked: list[str] = []

    def run(name: str, found: Finding) -> Check:
        def check(_: Settings) -> list[Finding]:
            asked.append(name)
            return [found]

        needs = {"b": ("a",), "c": ("b",), "d": ()}.get(name, ())
        return Check(name, check, "why", needs)

    down = problem("a", "down", "why", "do")
    checks = [run("c", ok("c", "")), run("a", down), run("b", ok("b", "")), run("d", ok("d", ""))]
    report = examine(checks, SETTINGS)
    assert sorted(asked) == ["a", "d"]
    assert [(f.subject, f.level.value) for f in report.findings] == [
        ("c", "skipped"),
        ("a", "problem"),
        ("b", "skipped"),
        ("d", "ok"),
    ]
    assert "a has problems" in report.findings[2].what


def test_hints_leave_it_healthy() -> None:
    hinted = Check("h", lambda _: [Finding("h", Level.HINT, "x", "y", "z")], "why")
    assert examine([hinted], SETTINGS).healthy


def test_checks_that_need_each_other_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="need each other"):
        examine([Check("a", fine, "", ("b",)), Check("b", fine, "", ("a",))], SETTINGS)
