"""The vocabulary as a tree, with the models that serve each word."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import Response

from agents.access.scope import Scoped
from agents.policy.capabilities import Match, Requirement, Vocabulary, lineage, match
from api.access import Addressed, Reads, TheApi
from api.crud import add_route
from api.render import json_response
from api.versions import SERVING
from schemas.entities import Model, ModelCapability

router = APIRouter()


class Node(BaseModel):
    """One word. `ancestors`: the nearest first. `models`: that serve it now, by whatever they
    declare. `described` false: models declare it, and the vocabulary does not know it."""

    capability: str
    described: bool
    ancestors: list[str]
    children: list[str]
    models: list[str]


class Tree(BaseModel):
    """In order of names."""

    items: list[Node]


async def capability_tree(scoped: Reads, api: TheApi, org_id: Addressed) -> Response:
    """Every capability that is described or declared, with its place and its models."""
    now = api.services.clock()
    words = _words(scoped, org_id)
    facts = api.models.all_current(scoped, org_id, now)
    found = [f.entity for f in facts if isinstance(f.entity, Model)]
    serving = [m for m in found if m.status_at(now) in SERVING]
    declaring: dict[str, list[Model]] = {}
    for model in serving:
        for word in model.capabilities:
            declaring.setdefault(word, []).append(model)
    children: dict[str, list[str]] = {}
    for name, known in words.items():
        children.setdefault(known.parent or "", []).append(name)
    items = [_node(name, words, declaring, children) for name in sorted({*words, *declaring})]
    return json_response(orjson.dumps({"items": items}))


def _words(scoped: Scoped, org_id: str) -> Vocabulary:
    found = (fact.entity for fact in scoped.facts(ModelCapability, org_id))
    return {w.capability: w for w in found if isinstance(w, ModelCapability)}


def _node(
    name: str,
    words: Vocabulary,
    declaring: Mapping[str, list[Model]],
    children: Mapping[str, list[str]],
) -> dict[str, Any]:
    line = lineage(name, words)
    able = {m.model_id: m for word in line for m in declaring.get(word, ())}.values()
    serves = [m for m in able if isinstance(match(m, Requirement(name), words), Match)]
    return {
        "capability": name,
        "described": name in words,
        "ancestors": line[1:],
        "children": sorted(children.get(name, ())),
        "models": sorted(m.model_id for m in serves),
    }


add_route(
    router,
    capability_tree,
    "/capability-tree/",
    "GET",
    "The vocabulary as a tree",
    {200: Tree},
    "capabilities",
)
