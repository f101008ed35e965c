"""The registry file: YAML with models, A/B tests, policies and what goes with them.

It is checked before anything is applied: every mistake is reported at once, with its line and
field. Format: docs/registry-file.md.
"""

import dataclasses
import difflib
import typing
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from agents.errors import Problem, RegistryFileInvalid
from agents.registry.checks import Judge, consistency, references
from agents.registry.document import Document, Path, shown
from agents.registry.validity import contradictions
from schemas.entities import (
    AbTest,
    Alias,
    Entity,
    Model,
    ModelCapability,
    Organisation,
    SelectionPolicy,
    User,
)
from schemas.suites import Suite

LISTS: Mapping[str, type[Entity]] = {
    "organisations": Organisation,
    "users": User,
    "capabilities": ModelCapability,
    "models": Model,
    "aliases": Alias,
    "ab_tests": AbTest,
    "policies": SelectionPolicy,
    "suites": Suite,
}
"""Datasets are none of them: they are imported with their cases."""


@dataclass(frozen=True, slots=True)
class RegistryFile:
    """What a valid file holds, in its order. `warnings` do not prevent applying it."""

    entities: tuple[Entity, ...]
    warnings: tuple[Problem, ...]


def parse(
    text: str,
    name: str,
    known_models: Collection[tuple[str, str]] = (),
    judge: Judge = contradictions,
) -> RegistryFile:
    """`known_models`: (org_id, model_id) that the registry has already. `judge`: what is wrong with
    an entity by itself.

    Raises RegistryFileInvalid with all mistakes.
    """
    try:
        document = Document(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        problem = Problem(line, "the file", f"is not YAML: {error.problem}")
        raise RegistryFileInvalid(name, [problem]) from error
    except yaml.YAMLError as error:
        raise RegistryFileInvalid(
            name, [Problem(1, "the file", f"is not YAML: {error}")]
        ) from error
    problems = list(document.problems)
    found: dict[Path, Entity] = {}
    for path, cls, value in _entries(document, problems):
        problems += _unknown_fields(document, path, cls, value)
        entity = _entity(document, path, cls, value, problems)
        if entity is not None:
            found[path] = entity
    problems += consistency(document, found, judge)
    if problems:
        raise RegistryFileInvalid(name, problems)
    warnings = references(document, found, frozenset(known_models))
    return RegistryFile(tuple(found.values()), tuple(warnings))


def _entries(
    document: Document, problems: list[Problem]
) -> Iterator[tuple[Path, type[Entity], dict[str, Any]]]:
    """Every entry of the lists that is a mapping; what is not goes to `problems`."""
    if not isinstance(document.value, dict) or not document.value:
        text = f"must hold the lists {', '.join(LISTS)} (any of them)"
        problems.append(Problem(1, "the file", text))
        return
    for key, entries in document.value.items():
        if key not in LISTS:
            problems.append(_unknown(document, (key,), LISTS))
        elif not isinstance(entries, list):
            text = "must be a list: its entries start with '- '"
            problems.append(Problem(document.line((key,)), key, text))
        else:
            for i, entry in enumerate(entries):
                if isinstance(entry, dict):
                    yield (key, i), LISTS[key], entry
                else:
                    at = document.line((key, i))
                    text = f"must be fields with values, not {entry!r}"
                    problems.append(Problem(at, shown((key, i)), text))


def _unknown(document: Document, path: Path, known: Collection[str]) -> Problem:
    close = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.6)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
    return Problem(document.line(path), shown(path), f"is not a field; {hint}")


def _unknown_fields(document: Document, path: Path, cls: Any, value: Any) -> Iterator[Problem]:
    """Fields that no entity has, at any depth."""
    if not dataclasses.is_dataclass(cls) or not isinstance(value, dict):
        return
    kinds = typing.get_type_hints(cls)
    for key, inner in value.items():
        if key not in kinds:
            yield _unknown(document, (*path, key), tuple(kinds))
            continue
        item = _item(kinds[key])
        if item is not None and isinstance(inner, list):
            for i, each in enumerate(inner):
                yield from _unknown_fields(document, (*path, key, i), item, each)
        else:
            yield from _unknown_fields(document, (*path, key), item or kinds[key], inner)


def _item(kind: Any) -> Any:
    """What a list or an option holds: Price for tuple[Price, ...], Endpoint for Endpoint | None;
    None for anything else."""
    return next((a for a in typing.get_args(kind) if dataclasses.is_dataclass(a)), None)


def _entity(
    document: Document,
    path: Path,
    cls: type[Entity],
    value: dict[str, Any],
    problems: list[Problem],
) -> Entity | None:
    try:
        entity: Entity = TypeAdapter(cls).validate_python(_known(cls, value))
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            where = (*path, *detail["loc"])
            problems.append(Problem(document.line(where), shown(where), _said(detail)))
        return None
    return entity


def _known(cls: Any, value: Any) -> Any:
    """The value without the fields that are unknown, and already reported, at any depth."""
    if not dataclasses.is_dataclass(cls) or not isinstance(value, dict):
        return value
    kinds = typing.get_type_hints(cls)
    known: dict[str, Any] = {}
    for key, inner in value.items():
        if key in kinds:
            item = _item(kinds[key])
            each = item is not None and isinstance(inner, list)
            known[key] = (
                [_known(item, v) for v in inner] if each else _known(item or kinds[key], inner)
            )
    return known


def _said(detail: Mapping[str, Any]) -> str:
    """A validation error in our words: what is wrong, the value, and what to do."""
    kind, value = detail["type"], detail.get("input")
    if kind == "missing":
        return "is missing"
    if kind == "string_type" and isinstance(value, int | float):
        return f"must be text; write it in quotes: '{value}'"
    if kind.startswith("timezone"):
        return f"needs a time zone, such as 2026-01-01T00:00:00Z, not {value}"
    message = str(detail["msg"])
    return f"{message[0].lower()}{message[1:]}, not {value!r}"
