"""Where the planner gets cases from: what it asks of whoever reads them. See `pages`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from schemas.evaluations import DatasetCase, Score


class Asked(NamedTuple):
    """One model's answer to a case in one epoch."""

    epoch: int
    model_id: str
    model_version: str


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer in the run that is scored again, and what the scorers of its suite said of it."""

    output: str
    suite_id: str = ""
    suite_version: str = ""
    scores: tuple[Score, ...] = ()


@dataclass(frozen=True, slots=True)
class Sourced:
    """A case, and what was answered to it in the run that is scored again."""

    case: DatasetCase
    answers: Mapping[Asked, Stored] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Want:
    """Whose cases are wanted: of `split`, or of all splits. `cases`: how many there are."""

    run_id: str
    org_id: str
    dataset_id: str
    dataset_version: str
    split: str | None
    cases: int
    rescore_of: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there are no cases now. `passing`: the fault is not the dataset's."""

    text: str
    passing: bool


class Supply(Protocol):
    """Cases at hand. Asking for what is not makes it come soon."""

    def case(self, want: Want, number: int) -> Sourced | None:
        """The case with this number of those wanted; None: not at hand."""
        ...

    def problem(self, run_id: str) -> Problem | None:
        """What the latest attempt to read for the run failed by."""
        ...
