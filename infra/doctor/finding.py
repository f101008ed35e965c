"""What an examination finds."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is. Only problems make the whole unhealthy."""

    OK = "ok"
    HINT = "hint"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. A hint or problem also says why it matters and what to do."""

    subject: str
    level: Level
    what: str
    why: str = ""
    do: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, in the order of the checks."""

    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        return self.count(Level.PROBLEM) == 0

    def count(self, level: Level) -> int:
        """How many findings of a level."""
        return sum(finding.level is level for finding in self.findings)


def ok(subject: str, what: str) -> Finding:
    return Finding(subject, Level.OK, what)


def hint(subject: str, what: str, why: str, do: str) -> Finding:
    return Finding(subject, Level.HINT, what, why, do)


def problem(subject: str, what: str, why: str, do: str) -> Finding:
    return Finding(subject, Level.PROBLEM, what, why, do)


def skipped(subject: str, what: str) -> Finding:
    return Finding(subject, Level.SKIPPED, what)


def counted(number: int, noun: str) -> str:
    """`1 worker`, `2,000 workers`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def found_or(findings: Iterable[Finding], fallback: Finding) -> list[Finding]:
    """The findings, or the fallback when there are none."""
    return list(findings) or [fallback]
