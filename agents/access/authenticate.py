"""From a token to a principal, by the registry's keys and users."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agents.access.authorise import ROLES, Principal
from agents.access.keys import matches, split, why_unusable
from schemas.commands import Change
from schemas.entities import ApiKey, KeyUse, Organisation, User
from streams.registry_view import RegistrySnapshot

USE_NOTED_EVERY = timedelta(hours=1)
"""How exact `last_used_at` is: each note is a fact of the registry."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Not authenticated. `reason` is for the holder: it betrays nothing about other keys."""

    reason: str


@dataclass(slots=True)
class _Index:
    """Keys by id and users by subject, of one snapshot."""

    snapshot: RegistrySnapshot
    keys: dict[str, ApiKey] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)

    @classmethod
    def of(cls, snapshot: RegistrySnapshot) -> "_Index":
        users = snapshot.entities(User)
        return cls(
            snapshot,
            {key.key_id: key for key in snapshot.entities(ApiKey)},
            {user.subject: user for user in users if user.subject is not None},
        )


class KeyRing:
    """Authenticates from memory, with no call anywhere. For any number of threads."""

    def __init__(self, registry: Callable[[], RegistrySnapshot]) -> None:
        self._registry = registry
        self._index = _Index.of(registry())

    def by_token(self, token: str, now: datetime) -> Principal | Rejected:
        """The holder of an API key."""
        parts = split(token)
        index = self._current()
        key = None if parts is None else index.keys.get(parts[0])
        if parts is None or key is None or not matches(key, parts[1]):
            return Rejected("the API key is not known")
        unusable = why_unusable(key, now)
        if unusable is not None:
            return Rejected(f"the API key {unusable}")
        user = _user(index.snapshot, key)
        closed = _closed(index.snapshot, key.org_id) or _absent(key, user)
        if closed is not None:
            return Rejected(closed)
        # A key never may more than the person it belongs to may by now.
        role = key.role if user is None else min(key.role, user.role, key=ROLES.index)
        return Principal(key.org_id, f"key:{key.key_id}", role, key.user_id)

    def by_subject(self, subject: str) -> Principal | Rejected:
        """The user of a verified OIDC token."""
        index = self._current()
        user = index.users.get(subject)
        if user is None:
            return Rejected("no user has this subject: ask an admin of your organisation")
        closed = _closed(index.snapshot, user.org_id) or _suspended(user)
        if closed is not None:
            return Rejected(closed)
        return Principal(user.org_id, f"user:{user.user_id}", user.role, user.user_id)

    def note_of_use(self, principal: Principal, now: datetime) -> Change | None:
        """The change that notes the use of a key, when it is time for a note: post it, and do not
        wait. None: nothing to note."""
        kind, _, key_id = principal.name.partition(":")
        if kind != "key":
            return None
        use = KeyUse(principal.org_id, key_id, now)
        known = last_use(self._current().snapshot, use)
        if known is None:
            return Change("create", use.key, None, use)
        noted = now - known.last_used_at < USE_NOTED_EVERY
        return None if noted else Change("update", use.key, None, use)

    def _current(self) -> _Index:
        snapshot = self._registry()
        if snapshot is not self._index.snapshot:
            self._index = _Index.of(snapshot)
        return self._index


def last_use(snapshot: RegistrySnapshot, of: ApiKey | KeyUse) -> KeyUse | None:
    """When a key was last used, to within USE_NOTED_EVERY; None: not since it was made."""
    return snapshot.entity(KeyUse, f"{of.org_id}/{KeyUse.kind}/{of.key_id}")


def _user(snapshot: RegistrySnapshot, key: ApiKey) -> User | None:
    return snapshot.entity(User, f"{key.org_id}/{User.kind}/{key.user_id}")


def _absent(key: ApiKey, user: User | None) -> str | None:
    if user is None:
        return None if key.user_id is None else "its user does not exist any more"
    return _suspended(user)


def _suspended(user: User) -> str | None:
    return "its user is suspended" if user.status == "suspended" else None


def _closed(snapshot: RegistrySnapshot, org_id: str) -> str | None:
    found = snapshot.entity(Organisation, Organisation(org_id).key)
    suspended = found is not None and found.status == "suspended"
    return "the organisation is suspended" if suspended else None
