"""If-Match, If-None-Match and Idempotency-Key: what a request says about when it may take effect.
Pure."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Header

from api.problems import Problem
from schemas.records import RegistryFact

ETAG = r'(W/)?"[0-9]{1,15}(\.[0-9a-f]{8})?"'
IfMatch = Annotated[
    str | None,
    Header(
        max_length=1000,
        pattern=rf"^(\*|{ETAG}(, *{ETAG})*)$",
        description='The ETag, or the version as "4", that you saw: whoever was faster wins, and '
        "you get 412.",
    ),
]
IfNoneMatch = Annotated[
    str | None, Header(max_length=1000, description="`*`: only if there is none yet.")
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        description="Any text of your own, such as a UUID: the same request sent again under it "
        "takes effect once.",
    ),
]
_TAG = re.compile(r'(?:W/)?"(\d{1,15})(?:\.([0-9a-f]{8}))?"')


@dataclass(frozen=True, slots=True)
class Condition:
    """`any_version`: it must exist. `versions`: one of these, each with the mark of the entity that
    it was seen on, or ''. `absent`: it must not exist."""

    any_version: bool = False
    versions: tuple[tuple[int, str], ...] = ()
    absent: bool = False

    @property
    def given(self) -> bool:
        """Whether the caller set one."""
        return self.any_version or bool(self.versions) or self.absent


def condition(if_match: str | None, if_none_match: str | None) -> Condition:
    """Of headers that have the forms above."""
    absent = if_none_match is not None
    if if_match is None or if_match == "*":
        return Condition(any_version=if_match is not None, absent=absent)
    found = [(int(m[1]), m[2] or "") for m in _TAG.finditer(if_match)]
    return Condition(versions=tuple(found), absent=absent)


def failed(text: str, current_version: int) -> Problem:
    """The condition does not hold."""
    return Problem(412, "precondition-failed", text, current_version=current_version)


def command_id(author: str, key: str, content: bytes) -> str:
    """The id of the command that a request under an Idempotency-Key becomes, in any process: one
    part from the key and its author, one from what is asked."""
    asked = hashlib.sha256(content).hexdigest()[:24]
    return f"{_key_part(author, key)}.{asked}"


def effects(facts: Iterable[RegistryFact | None], command: str | None) -> dict[str, int]:
    """The versions that the command made of these entities when it was sent before, by key.

    Raises Problem 422 when its Idempotency-Key was used for something else there.
    """
    found: dict[str, int] = {}
    part, _, asked = (command or "").partition(".")
    for fact in facts if command is not None else ():
        for applied in () if fact is None else fact.applied:
            other, _, before = applied.command_id.partition(".")
            if other == part and before != asked:
                raise reused()
            if other == part and fact is not None:
                found[fact.entity.key] = applied.version
    return found


def reused() -> Problem:
    """An Idempotency-Key that belongs to another request."""
    text = "this Idempotency-Key was used for another request: take a new one for each"
    return Problem(422, "idempotency-key-reused", text)


def _key_part(author: str, key: str) -> str:
    text = f"{author}\n{key}".encode("utf-8", "backslashreplace")
    return f"idem-{hashlib.sha256(text).hexdigest()[:32]}"
