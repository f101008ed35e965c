"""`rheostat keys`: API keys from the command line, the first operator's among them.

Whoever can reach Kafka with our settings is trusted: that is how the first key comes to be.
"""

import getpass
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import get_args

from agents.access.authenticate import last_use
from agents.access.keys import KeyWish, NewKey, new_key, why_unusable
from agents.registry.client import RegistryClient, Sender
from infra.errors import OperatorError
from infra.settings import Settings
from infra.workers import catalog, kafka_config
from schemas.access import OPERATORS, AccessRole
from schemas.commands import Change
from schemas.entities import ApiKey, User
from schemas.wire import Codec
from streams.registry_view import RegistrySnapshot, RegistryView

TIMEOUT_S = 30.0
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key as it is listed. `state`: active, or why it opens nothing."""

    key: ApiKey
    state: str
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyOptions:
    """What the command line says of a key to make. `org_id` None: an operator's."""

    org_id: str | None
    role: str | None
    name: str
    user_id: str | None
    expires_in: str | None


def create(settings: Settings, options: KeyOptions) -> NewKey:
    """Makes a key. Raises OperatorError, AgentError, StreamError."""
    now = datetime.now(UTC)
    expires_in = duration(options.expires_in) if options.expires_in else None
    wish = KeyWish(
        org_id=options.org_id or OPERATORS,
        role=_role(options),
        name=options.name,
        user_id=options.user_id,
        expires_at=None if expires_in is None else now + expires_in,
    )
    with _registry(settings) as (view, client):
        found = view.wait_loaded(TIMEOUT_S)
        _check_user(found, wish)
        made = new_key(wish, now)
        client.submit([Change("create", made.entity.key, None, made.entity)], _sender())
    return made


def listed(settings: Settings, org_id: str | None) -> list[KeyRow]:
    """Keys of one organisation, or of all, the newest first. Raises StreamError."""
    with RegistryView(kafka_config(settings), Codec(catalog(settings))) as view:
        found, now = view.wait_loaded(TIMEOUT_S), datetime.now(UTC)
    keys = [k for k in found.entities(ApiKey) if org_id is None or k.org_id == org_id]
    rows = []
    for key in sorted(keys, key=lambda k: k.created_at, reverse=True):
        use = last_use(found, key)
        state = why_unusable(key, now) or "active"
        rows.append(KeyRow(key, state, None if use is None else use.last_used_at))
    return rows


def revoke(settings: Settings, key_id: str) -> ApiKey:
    """Revokes a key for good; one that is revoked already stays as it is.

    Raises OperatorError, AgentError, StreamError.
    """
    with _registry(settings) as (view, client):
        found = view.wait_loaded(TIMEOUT_S)
        # People paste whole tokens.
        wanted = re.sub(r"^rheo_([a-z2-7]{12}).*$", r"\1", key_id)
        key = next((k for k in found.entities(ApiKey) if k.key_id == wanted), None)
        if key is None:
            raise OperatorError(f"there is no API key {wanted}; see: rheostat keys list")
        if key.revoked_at is None:
            key = replace(key, revoked_at=datetime.now(UTC))
            client.submit([Change("update", key.key, None, key)], _sender())
    return key


def duration(text: str) -> timedelta:
    """12h, 90d, 4w. Raises OperatorError."""
    found = re.fullmatch(r"([1-9]\d{0,4})([hdw])", text)
    if found is None:
        raise OperatorError(f"{text!r} is no duration; write it as 12h, 90d or 4w.")
    return int(found[1]) * _UNITS[found[2]]


def _role(options: KeyOptions) -> AccessRole:
    if options.org_id is None:
        if options.role not in (None, "operator"):
            raise OperatorError(
                f"a key with the role {options.role} belongs to an organisation: add --org NAME."
            )
        return "operator"
    role = options.role or "editor"
    roles: dict[str, AccessRole] = {name: name for name in get_args(AccessRole)}
    if role not in roles or role == "operator":
        able = ", ".join(name for name in roles if name != "operator")
        raise OperatorError(f"a key of an organisation has one of the roles {able}, not {role}.")
    return roles[role]


def _check_user(registry: RegistrySnapshot, wish: KeyWish) -> None:
    key = f"{wish.org_id}/{User.kind}/{wish.user_id}"
    if wish.user_id is not None and registry.entity(User, key) is None:
        raise OperatorError(f"{wish.org_id} has no user {wish.user_id}.")


@contextmanager
def _registry(settings: Settings) -> Iterator[tuple[RegistryView, RegistryClient]]:
    codec, kafka = Codec(catalog(settings)), kafka_config(settings)
    with RegistryView(kafka, codec) as view, RegistryClient(kafka, codec, view) as client:
        yield view, client


def _sender() -> Sender:
    return Sender(getpass.getuser())
