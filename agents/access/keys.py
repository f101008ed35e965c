"""API keys: made at random, shown once, kept only as a hash.

A token is `rheo_<key id>_<secret>`: twelve public characters that find the key, and 256 random
bits. The hash is plain SHA-256. Slow password hashes protect what people choose, by making each
guess dear; nobody guesses 256 random bits, and a slow hash would only let strangers keep the API
busy.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime

from schemas.access import AccessRole
from schemas.entities import ApiKey

PREFIX = "rheo"
TOKEN = re.compile(rf"\b{PREFIX}_([a-z2-7]{{12}})_([A-Za-z0-9_-]{{43}})(?![A-Za-z0-9_-])")
"""Also what logs are searched for, so that no token stays in them."""
SECRET_BYTES = 32
_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as it is made. `token` holds the only copy of the secret: show it once, and forget."""

    entity: ApiKey
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyWish:
    """What a key is to be. `user_id`: whose it is; None: a program's."""

    org_id: str
    role: AccessRole
    name: str = ""
    user_id: str | None = None
    expires_at: datetime | None = None


def new_key(wish: KeyWish, now: datetime) -> NewKey:
    """A key from the system's random source."""
    key_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(12))
    secret = secrets.token_urlsafe(SECRET_BYTES)
    entity = ApiKey(
        org_id=wish.org_id,
        key_id=key_id,
        role=wish.role,
        secret_sha256=_hash(secret),
        created_at=now,
        name=wish.name,
        user_id=wish.user_id,
        expires_at=wish.expires_at,
    )
    return NewKey(entity, f"{PREFIX}_{key_id}_{secret}")


def split(token: str) -> tuple[str, str] | None:
    """(key id, secret); None for what cannot be a token of ours."""
    found = TOKEN.fullmatch(token)
    return (found[1], found[2]) if found else None


def matches(key: ApiKey, secret: str) -> bool:
    """Whether the secret is the key's. Takes the same time whatever the answer."""
    return hmac.compare_digest(_hash(secret), key.secret_sha256)


def why_unusable(key: ApiKey, now: datetime) -> str | None:
    """Why the key does not open anything now; None: it does."""
    if key.revoked_at is not None:
        return "was revoked"  # whatever this machine's clock says of the moment
    if key.expires_at is not None and key.expires_at <= now:
        return "has expired"
    return None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
