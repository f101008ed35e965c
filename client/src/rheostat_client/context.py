"""What the wrappers cannot see for themselves: for whom, and why this model, a call is made.

    with serving(capability="chat", unit_id=user, choice=choice):
        client.chat.completions.create(model=choice.model_id, ...)

Follows the code, into asyncio tasks too (contextvars), and is read by `rheostat_client.openai` and
`rheostat_client.opentelemetry`. `Reporter.inference` takes its arguments itself and ignores it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from rheostat_client import rules
from rheostat_client.assign import Assignment
from rheostat_client.choice import Choice
from rheostat_client.errors import InvalidValue


class Serving(NamedTuple):
    """What is known of the calls inside a `serving` block."""

    capability: str | None = None
    unit_id: str | None = None
    choice: Choice | None = None
    assignment: Assignment | None = None


NOTHING = Serving()
_current: ContextVar[Serving] = ContextVar("rheostat_serving", default=NOTHING)


@contextmanager
def serving(
    *,
    capability: str | None = None,
    unit_id: str | None = None,
    choice: Choice | None = None,
    assignment: Assignment | None = None,
) -> Iterator[None]:
    """Describes the calls made inside the block; blocks inside blocks add to each other.

    Raises InvalidValue.
    """
    if choice is not None and assignment is not None:
        raise InvalidValue("assignment", "cannot be combined with a choice: who chose?", choice)
    for field, value in (("capability", capability), ("unit_id", unit_id)):
        if value is not None:
            rules.text(field, value)
    around = _current.get()
    decided = choice is not None or assignment is not None
    token = _current.set(
        Serving(
            capability=capability or around.capability,
            unit_id=unit_id or around.unit_id,
            choice=choice if decided else around.choice,
            assignment=assignment if decided else around.assignment,
        )
    )
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Serving:
    """What the innermost block says."""
    return _current.get()
