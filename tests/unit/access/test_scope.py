"""What is hidden looks as if it did not exist."""

from dataclasses import replace

from agents.access.authorise import Principal
from agents.access.scope import Scoped
from schemas.access import OPERATORS
from schemas.entities import ENTITIES, Model, User
from tests.support.commands import Registry, change
from tests.support.entities import FULL

MODEL = Model("acme", "m", "1", "us", ("chat",))
PUBLIC = replace(MODEL, model_id="p", visibility="public")


def as_(org_id: str, role: str = "admin") -> Principal:
    return Principal(org_id, "key:x", role)  # type: ignore[arg-type]  # a role


def scoped(registry: Registry, principal: Principal) -> Scoped:
    return Scoped(registry.snapshot, principal)


def test_a_stranger_sees_what_is_public_and_nothing_else() -> None:
    registry = Registry(MODEL, PUBLIC, User("acme", "ann", "admin"))
    gone = replace(MODEL, model_id="gone")
    registry.send(change("create", gone))
    registry.send(change("delete", gone))
    for fact in FULL:
        if fact.org_id == "acme" and registry.snapshot.last(fact.key) is None:
            registry.send(change("create", fact))
    stranger = scoped(registry, as_("globex"))
    seen = [f.entity for cls in ENTITIES.values() for f in stranger.facts(cls)]
    assert seen == [PUBLIC]
    assert [f for cls in ENTITIES.values() for f in stranger.deleted(cls)] == []
    keys = [key for shelf in registry.snapshot.live.values() for key in shelf] + [gone.key]
    assert [key for key in keys if stranger.last(key) or stranger.get(key)] == [PUBLIC.key]
    assert stranger.entity(Model, MODEL.key) is None
    assert stranger.entity(Model, PUBLIC.key) == PUBLIC


def test_the_owners_and_operators_see_it() -> None:
    registry = Registry(MODEL, User("acme", "ann", "admin"))
    for principal in (as_("acme"), as_(OPERATORS, "operator")):
        found = scoped(registry, principal)
        assert [f.entity for f in found.facts(Model, "acme")] == [MODEL]
        assert list(found.facts(Model, "globex")) == []
        assert found.entity(Model, MODEL.key) == MODEL
        registry.send(change("delete", MODEL))
        found = scoped(registry, principal)
        assert found.get(MODEL.key) is None
        assert found.last(MODEL.key) is not None
        assert [f.entity for f in found.deleted(Model)] == [MODEL]
        registry.send(change("restore", MODEL))
