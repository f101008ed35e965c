"""Who may use the system: organisations, people and API keys, as entities of the registry."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import StringConstraints

from schemas.models import Moment
from schemas.types import Label, Name, Prose

AccessRole = Literal["viewer", "editor", "admin", "operator"]
"""viewer reads, editor changes, admin also manages people and keys: all inside one organisation.
An operator may do everything in every organisation and belongs to OPERATORS."""
AccountStatus = Literal["active", "suspended"]
OPERATORS = "*"
"""The org_id of operators' users and keys. No organisation can have it."""
KeyId = Annotated[str, StringConstraints(pattern=r"^[a-z2-7]{12}$")]
Sha256Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class Organisation:
    """A tenant. Entities may exist before their organisation is described.

    `promotion_requires_verdict`: the alias champion only moves with a decided A/B test.
    """

    kind: ClassVar[str] = "organisation"

    org_id: Name
    name: Label = ""
    status: AccountStatus = "active"
    promotion_requires_verdict: bool = False
    description: Prose = ""

    @property
    def key(self) -> str:
        return f"{self.org_id}/{self.kind}/{self.org_id}"


@dataclass(frozen=True, slots=True)
class User:
    """A person. `subject`: the `sub` claim of the OIDC tokens that are theirs."""

    kind: ClassVar[str] = "user"

    org_id: Name
    user_id: Name
    role: AccessRole
    name: Label = ""
    email: Label = ""
    subject: Label | None = None
    status: AccountStatus = "active"

    @property
    def key(self) -> str:
        return f"{self.org_id}/{self.kind}/{self.user_id}"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of an API key: `key_id` is the public part that finds it, the secret part is
    known only by its hash (see agents.access.keys)."""

    kind: ClassVar[str] = "api_key"

    org_id: Name
    key_id: KeyId
    role: AccessRole
    secret_sha256: Sha256Hex
    created_at: Moment
    name: Label = ""
    user_id: Name | None = None
    expires_at: Moment | None = None
    revoked_at: Moment | None = None

    @property
    def key(self) -> str:
        return f"{self.org_id}/{self.kind}/{self.key_id}"


@dataclass(frozen=True, slots=True)
class KeyUse:
    """When a key was last used, to within an hour. Apart from the key, whose version stays."""

    kind: ClassVar[str] = "key_use"

    org_id: Name
    key_id: KeyId
    last_used_at: Moment

    @property
    def key(self) -> str:
        return f"{self.org_id}/{self.kind}/{self.key_id}"
