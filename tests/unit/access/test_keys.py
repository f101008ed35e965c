"""API keys: random, hashed, recognised, and who they let in."""

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest

from agents.access.authenticate import USE_NOTED_EVERY, KeyRing, Rejected
from agents.access.authorise import Principal
from agents.access.keys import KeyWish, NewKey, matches, new_key, split
from schemas.entities import ApiKey, Entity, KeyUse, Organisation, User
from schemas.records import RegistryFact
from streams.registry_view import RegistrySnapshot
from tests.support.commands import NOW, Registry, change

MADE = new_key(KeyWish("acme", "editor", "ci"), NOW)
KEY = MADE.entity


def ring(*entities: Entity) -> KeyRing:
    facts = ((e.key, RegistryFact(1, "me", NOW, "c", e)) for e in entities)
    snapshot = RegistrySnapshot().with_facts(facts)
    return KeyRing(lambda: snapshot)


def reason(found: Principal | Rejected) -> str:
    assert isinstance(found, Rejected)
    return found.reason


def test_a_token_is_random_and_only_its_hash_is_kept() -> None:
    parts = split(MADE.token)
    assert parts is not None
    key_id, secret = parts
    assert key_id == KEY.key_id
    assert len(secret) == 43
    assert hashlib.sha256(secret.encode()).hexdigest() == KEY.secret_sha256
    assert secret not in repr(MADE) + repr(KEY)
    others = {new_key(KeyWish("acme", "editor"), NOW).token for _ in range(100)}
    assert len(others | {MADE.token}) == 101
    assert matches(KEY, secret)
    assert not matches(KEY, secret[:-1] + ("a" if secret[-1] != "a" else "b"))


@pytest.mark.parametrize(
    "token",
    ["", "rheo_", MADE.token[:-1], MADE.token + "x", "x" + MADE.token],
    ids=["empty", "prefix", "short", "long", "other-prefix"],
)
def test_what_is_no_token_is_told_apart(token: str) -> None:
    assert split(token) is None
    assert reason(ring(KEY).by_token(token, NOW)) == "the API key is not known"


def test_a_key_lets_its_holder_in() -> None:
    found = ring(KEY).by_token(MADE.token, NOW)
    assert found == Principal("acme", f"key:{KEY.key_id}", "editor")
    assert reason(ring().by_token(MADE.token, NOW)) == "the API key is not known"


def test_another_keys_secret_does_not_open() -> None:
    other = new_key(KeyWish("acme", "admin"), NOW)
    mixed = f"rheo_{other.entity.key_id}_{MADE.token.rpartition('_')[2]}"
    if split(mixed) is not None:
        assert isinstance(ring(KEY, other.entity).by_token(mixed, NOW), Rejected)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (replace(KEY, expires_at=NOW), "has expired"),
        (replace(KEY, revoked_at=NOW), "was revoked"),
        (replace(KEY, revoked_at=NOW + timedelta(days=1)), "was revoked"),
        (replace(KEY, expires_at=NOW + timedelta(seconds=1)), None),
    ],
)
def test_a_key_opens_until_it_expires_or_is_revoked(key: ApiKey, says: str | None) -> None:
    found = ring(key).by_token(MADE.token, NOW)
    assert isinstance(found, Principal) if says is None else says in reason(found)


def test_a_suspended_organisation_or_user_keeps_its_keys_out() -> None:
    ann = User("acme", "ann", "admin")
    mine = replace(KEY, user_id="ann")
    assert isinstance(ring(mine, ann).by_token(MADE.token, NOW), Principal)
    assert "does not exist" in reason(ring(mine).by_token(MADE.token, NOW))
    suspended = replace(ann, status="suspended")
    assert "user is suspended" in reason(ring(mine, suspended).by_token(MADE.token, NOW))
    closed = Organisation("acme", status="suspended")
    assert "organisation is suspended" in reason(ring(KEY, closed).by_token(MADE.token, NOW))


def test_a_key_may_no_more_than_its_user() -> None:
    mine = replace(KEY, user_id="ann")
    found = ring(mine, User("acme", "ann", "viewer")).by_token(MADE.token, NOW)
    assert isinstance(found, Principal)
    assert found.role == "viewer"
    found = ring(mine, User("acme", "ann", "admin")).by_token(MADE.token, NOW)
    assert isinstance(found, Principal)
    assert found.role == "editor"


def test_a_subject_is_its_user() -> None:
    ann = User("acme", "ann", "admin", subject="sub-1")
    assert ring(ann).by_subject("sub-1") == Principal("acme", "user:ann", "admin", "ann")
    assert "no user has this subject" in reason(ring(ann).by_subject("sub-2"))
    assert isinstance(ring(replace(ann, status="suspended")).by_subject("sub-1"), Rejected)


def test_the_ring_follows_the_registry() -> None:
    registry = Registry(KEY)
    keys = KeyRing(lambda: registry.snapshot)
    assert isinstance(keys.by_token(MADE.token, NOW), Principal)
    registry.send(change("update", replace(KEY, revoked_at=NOW)))
    assert isinstance(keys.by_token(MADE.token, NOW), Rejected)


def test_a_use_is_noted_once_an_hour() -> None:
    registry = Registry(KEY)
    keys = KeyRing(lambda: registry.snapshot)
    holder = keys.by_token(MADE.token, NOW)
    assert isinstance(holder, Principal)
    for moment, noted in (
        (NOW, True),
        (NOW + timedelta(minutes=59), False),
        (NOW + USE_NOTED_EVERY, True),
    ):
        note = keys.note_of_use(holder, moment)
        assert (note is not None) == noted
        if note is not None:
            assert registry.send(note).outcome.status == "accepted"
    use = registry.snapshot.entity(KeyUse, f"acme/key_use/{KEY.key_id}")
    assert use is not None
    assert use.last_used_at == NOW + USE_NOTED_EVERY
    assert keys.note_of_use(Principal("acme", "user:ann", "admin", "ann"), NOW) is None


def test_a_new_key_is_what_was_wished() -> None:
    wish = KeyWish("acme", "viewer", "n", "ann", NOW)
    made: NewKey = new_key(wish, NOW)
    key = made.entity
    assert (key.org_id, key.role, key.name, key.user_id) == ("acme", "viewer", "n", "ann")
    assert (key.created_at, key.expires_at, key.revoked_at) == (NOW, NOW, None)
