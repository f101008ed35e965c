"""Errors of the control lane.

AgentError
├── AgentsStopped        something that a restart of the process has to cure
├── BadConfiguration     a setting that cannot work; nothing was started
├── RegistryFileInvalid  a registry file with mistakes: all of them, each with its line and field
└── RegistryConflict     another writer changed the registry at the same time; apply again
"""

from collections.abc import Sequence
from dataclasses import dataclass


class AgentError(Exception):
    """Root of everything this package raises."""


class AgentsStopped(AgentError):
    """The worker cannot go on in this process; a supervisor should start it again."""


class BadConfiguration(AgentError):
    """A setting is wrong. The message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it stands (`line` counts from 1) and what is wrong."""

    line: int
    field: str
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.field}: {self.text}"


class RegistryFileInvalid(AgentError):
    """The file was not applied. `problems` are in order of lines."""

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.line, p.field)))
        count = f"{len(self.problems)} mistake{'s' if len(self.problems) > 1 else ''}"
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"{name} has {count}; nothing was applied:\n{lines}")


class RegistryConflict(AgentError):
    """Another writer was faster. Nothing of this attempt took effect."""
