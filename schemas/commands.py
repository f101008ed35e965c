"""Intents to change the registry, and what became of them.

A caller writes a command with `outcome` None. The registry agent judges it and writes it once more
with its outcome and without the entities, in the transaction that writes the facts. Both stand on
registry-commands.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from schemas.entities import Entity
from schemas.models import Moment
from schemas.types import Label, Name

Action = Literal["create", "update", "delete", "restore"]
OutcomeStatus = Literal["accepted", "conflict", "refused", "expired"]
"""expired: judged after its author stopped waiting; it may be sent again."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entity's change. `expected_version`: the version that the author saw; None: whichever.

    `entity` is the new state, for create and update; None for delete and restore.
    """

    action: Action
    key: str
    expected_version: int | None = None
    entity: Entity | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a change cannot be made. `change` counts from 0; `field` is a path inside the entity.

    `current_version`: of a conflict, the version there is: 0 when nothing ever was there.
    """

    change: int
    key: str
    field: str
    text: str
    current_version: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """`versions`: the one that each change made, in their order; empty unless accepted."""

    status: OutcomeStatus
    decided_at: datetime
    versions: tuple[int, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class RegistryCommand:
    """All changes take effect, in one transaction, or none does.

    `org_id`: the only organisation whose entities it may change; None: any (an operator's).
    `expires_at`: judged later than this it does nothing, so that nothing happens behind the back of
    a caller that gave up.
    """

    command_id: Name
    author: Label
    org_id: Name | None
    submitted_at: Moment
    expires_at: Moment
    changes: tuple[Change, ...]
    outcome: Outcome | None = None
