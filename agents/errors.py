"""Errors of the control lane.

AgentError
├── AgentsStopped        something that a restart of the process has to cure
├── LogGone              records that are needed again are no longer in Kafka
├── BadConfiguration     a setting that cannot work; nothing was started
├── RegistryFileInvalid  a registry file with mistakes: all of them, each with its line and field
├── CommandRefused       the registry agent refused a change: every reason, with its field
│   └── RegistryConflict another writer was faster: look at the current version, then decide again
└── Unavailable          no answer in time: nothing is known; the same command may be sent again
"""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.commands import Problem as CommandProblem


class AgentError(Exception):
    """Root of everything this package raises."""


class AgentsStopped(AgentError):
    """The worker cannot go on in this process; a supervisor should start it again."""


class LogGone(AgentError):
    """Retention has deleted what was asked for. The message says what there is."""


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


class CommandRefused(AgentError):
    """Nothing of the command took effect. `problems` name the change and the field."""

    def __init__(self, problems: Sequence[CommandProblem]) -> None:
        self.problems = tuple(problems)
        lines = [f"{_where(p)}{p.text}" for p in self.problems]
        listed = lines[0] if len(lines) == 1 else "\n  " + "\n  ".join(lines)
        super().__init__(f"the registry was not changed: {listed}")


class RegistryConflict(CommandRefused):
    """Another writer was faster. `current_version`: of the first entity that conflicts; 0 when
    there never was one."""

    @property
    def current_version(self) -> int:
        """The version there is now."""
        return next(p.current_version for p in self.problems if p.current_version is not None)


class Unavailable(AgentError):
    """Kafka or the registry agent did not answer. Whether the command took effect is not known, but
    it will not later than its `expires_at`: sent again under the same id it takes effect once."""

    def __init__(self, text: str, command_id: str, retry_after_s: float = 5.0) -> None:
        self.command_id = command_id
        self.retry_after_s = retry_after_s
        super().__init__(f"{text} (command {command_id})")


def _where(problem: CommandProblem) -> str:
    return " ".join(part for part in (problem.key, problem.field) if part) + ": "
