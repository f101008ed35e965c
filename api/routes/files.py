"""The registry as a file: out of it and into it, as YAML or JSON."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from agents.access.scope import Scoped
from agents.evaluation.suites.judge import judge_with
from agents.registry.apply import plan
from agents.registry.export import export, to_json, to_yaml
from agents.registry.file import LISTS, RegistryFile, parse
from api.accepts import preferred
from api.access import Caller, Reads, TheApi
from api.conditions import effects
from api.crud import add_route
from api.editing import REPLAY, TheEdit
from api.examples import REGISTRY_FILE
from api.problems import Problem
from api.render import json_response
from schemas.entities import Model
from schemas.suites import Dataset, Suite
from streams.registry_view import RegistrySnapshot

router = APIRouter()
FORMATS = {"yaml": "application/yaml", "json": "application/json"}
LARGEST_BYTES = 512 * 1024
"""A command holds about twice as much; reading YAML is slow."""


class AppliedBody(BaseModel):
    """What became of one entity; `version` is the one it now has, or would have."""

    key: str
    outcome: Literal["created", "updated", "unchanged"]
    version: int


class ImportedBody(BaseModel):
    """In the order of the file. `warnings` did not prevent it."""

    items: list[AppliedBody]
    warnings: list[str]
    dry_run: bool


async def export_registry(
    principal: Caller,
    scoped: Reads,
    org_id: Annotated[str | None, Query(max_length=256, description="For operators.")] = None,
    format: Annotated[
        Literal["yaml", "json"] | None, Query(description="Goes before the Accept header.")
    ] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "*/*",
) -> Response:
    """What the caller sees of its organisation, in the form that import takes. Without API keys.
    YAML, unless JSON is asked for."""
    own = org_id if principal.role == "operator" else principal.org_id
    document = export(_seen(scoped, own), own)
    media_type = FORMATS[format] if format else preferred(accept, tuple(FORMATS.values()))
    if media_type == FORMATS["json"]:
        return Response(to_json(document), media_type=media_type)
    return Response(to_yaml(document), media_type=FORMATS["yaml"])


async def import_registry(
    request: Request,
    edit: TheEdit,
    api: TheApi,
    dry_run: Annotated[bool, Query(description="Only say what would happen.")] = False,
) -> Response:
    """Makes what the file describes, all or nothing. What it does not name stays as it is."""
    reading = partial(_parsed, await request.body(), edit.scoped)
    parsed = await api.writer.in_thread(reading)
    for entity in parsed.entities:
        edit.may(entity)
    snapshot = api.gate.registry()
    planned = plan(parsed.entities, snapshot, api.services.codec)
    made: Mapping[str, int] = effects(
        (snapshot.last(e.key) for e in parsed.entities), edit.command_id
    )
    headers = REPLAY if made else {}
    changes = [change for applied, change in planned if applied.outcome != "unchanged"]
    if not made and not dry_run and changes:
        made = await edit.apply_all(changes)
    answer = {
        "items": [replace(a, version=made.get(a.key, a.version)) for a, _ in planned],
        "warnings": [str(warning) for warning in parsed.warnings],
        "dry_run": dry_run,
    }
    return json_response(orjson.dumps(answer), 200, headers)


def _parsed(data: bytes, scoped: Scoped) -> RegistryFile:
    """Raises Problem when it is too large or no text, RegistryFileInvalid with every mistake."""
    if len(data) > LARGEST_BYTES:
        text = f"a registry file may have {LARGEST_BYTES:,} bytes: send it in parts"
        raise Problem(413, "too-large", text)
    try:
        return parse(data.decode(), "the file", _known_models(scoped), judge_with(_suites(scoped)))
    except UnicodeDecodeError as error:
        raise Problem(400, "malformed", f"the file is not UTF-8 text: {error}") from error


def _seen(scoped: Scoped, org_id: str | None) -> RegistrySnapshot:
    """The registry as the caller sees it."""
    live = {
        cls.kind: {fact.entity.key: fact for fact in scoped.facts(cls, org_id)}
        for cls in LISTS.values()
    }
    return RegistrySnapshot(scoped.registry.revision, live)


def _suites(scoped: Scoped) -> RegistrySnapshot:
    """What new suites are judged by: the suites and datasets that the caller sees."""
    live = {
        cls.kind: {fact.entity.key: fact for fact in scoped.facts(cls)} for cls in (Suite, Dataset)
    }
    return RegistrySnapshot(scoped.registry.revision, live)


def _known_models(scoped: Scoped) -> frozenset[tuple[str, str]]:
    found = (fact.entity for fact in scoped.facts(Model))
    return frozenset((m.org_id, m.model_id) for m in found if isinstance(m, Model))


FILE = {"schema": {"type": "string"}, "example": to_yaml(dict(REGISTRY_FILE))}
LISTS_BODY = {
    "schema": {"type": "object", "properties": {name: {"type": "array"} for name in LISTS}},
    "example": dict(REGISTRY_FILE),
}
add_route(
    router,
    export_registry,
    "/registry/export/",
    "GET",
    "The registry as a file",
    {200: None},
    "registry",
)
add_route(
    router,
    import_registry,
    "/registry/import/",
    "POST",
    "Apply a registry file",
    {200: ImportedBody},
    "registry",
    extra={
        "requestBody": {
            "required": True,
            "content": {"application/yaml": FILE, "application/json": LISTS_BODY},
        }
    },
)
