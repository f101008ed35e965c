"""Who may do what."""

from typing import get_args

import pytest

from agents.access.authorise import (
    ROLES,
    Action,
    Denied,
    Principal,
    action_for,
    authorise,
    may_grant,
    may_see,
)
from schemas.access import OPERATORS, AccessRole
from schemas.entities import Entity, Model, Organisation, SelectionPolicy, User

ACTIONS = get_args(Action)


def who(role: AccessRole, org_id: str = "acme") -> Principal:
    return Principal(OPERATORS if role == "operator" else org_id, "key:x", role, "ann")


@pytest.mark.parametrize(
    ("role", "allowed"),
    [("viewer", 1), ("editor", 2), ("admin", 3), ("operator", 4)],
)
def test_each_role_may_more_than_the_one_before(role: AccessRole, allowed: int) -> None:
    found = [authorise(who(role), action, "acme") is None for action in ACTIONS]
    assert found == [True] * allowed + [False] * (4 - allowed)


def test_strangers_are_hidden_from_and_operators_are_everywhere() -> None:
    for role in ROLES:
        for action in ACTIONS:
            denied = authorise(who(role, "globex"), action, "acme")
            if role == "operator":
                assert denied is None
            else:
                assert denied is not None
                assert denied.hidden
    assert authorise(who("viewer"), "write", "acme") == Denied(
        "viewers may not write: it takes the role editor"
    )


def test_only_an_operators_commands_reach_every_organisation() -> None:
    assert who("operator").scope is None
    assert {who(role).scope for role in ("viewer", "editor", "admin")} == {"acme"}


def test_people_and_keys_take_an_admin() -> None:
    assert action_for(User("acme", "ann", "viewer")) == "administer"
    assert action_for(Organisation("acme")) == "administer"
    assert action_for(SelectionPolicy("acme", "chat")) == "write"


def test_nobody_hands_out_more_than_they_have() -> None:
    for role in ROLES:
        for granted in ROLES:
            denied = may_grant(who(role), granted)
            assert (denied is None) == (ROLES.index(granted) <= ROLES.index(role))


@pytest.mark.parametrize(
    ("principal", "entity", "seen"),
    [
        (who("viewer"), Model("acme", "m", "1", "us", ("c",)), True),
        (who("admin", "globex"), Model("acme", "m", "1", "us", ("c",)), False),
        (who("viewer", "globex"), Model("acme", "m", "1", "us", ("c",), visibility="public"), True),
        (who("editor"), Model("acme", "m", "1", "us", ("c",), visibility="private"), False),
        (who("admin"), Model("acme", "m", "1", "us", ("c",), visibility="private"), True),
        (
            who("viewer"),
            Model("acme", "m", "1", "us", ("c",), visibility="private", owner="ann"),
            True,
        ),
        (who("editor"), User("acme", "ann", "viewer"), False),
        (who("admin"), User("acme", "ann", "viewer"), True),
        (who("operator"), User("acme", "ann", "viewer"), True),
        (who("viewer"), SelectionPolicy("acme", "c"), True),
        (who("admin", "globex"), SelectionPolicy("acme", "c"), False),
    ],
)
def test_who_sees_what(principal: Principal, entity: Entity, seen: bool) -> None:
    assert may_see(principal, entity) is seen
