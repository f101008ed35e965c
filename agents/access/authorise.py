"""Who may do what: one pure function, asked for every access."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from schemas.access import AccessRole
from schemas.entities import ApiKey, Entity, KeyUse, Model, Organisation, User

Action = Literal["read", "write", "administer", "operate"]
"""read: look at anything. write: models, tests, policies, evaluations. administer: people, keys and
the organisation. operate: what concerns no organisation or all of them."""
MAY: Mapping[AccessRole, tuple[Action, ...]] = {
    "viewer": ("read",),
    "editor": ("read", "write"),
    "admin": ("read", "write", "administer"),
    "operator": ("read", "write", "administer", "operate"),
}

ROLES = tuple(MAY)
"""The weakest first."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever a request comes from. `name` becomes the author of facts: key:<id> or user:<id>.

    `user_id` None: a program. An operator's `org_id` is OPERATORS.
    """

    org_id: str
    name: str
    role: AccessRole
    user_id: str | None = None

    @property
    def scope(self) -> str | None:
        """The organisation that its commands may change; None: any."""
        return None if self.role == "operator" else self.org_id


@dataclass(frozen=True, slots=True)
class Denied:
    """`hidden`: say that there is no such thing, since even its existence is another's business."""

    reason: str
    hidden: bool = False


def authorise(principal: Principal, action: Action, org_id: str) -> Denied | None:
    """None: allowed."""
    if principal.role != "operator" and org_id != principal.org_id:
        return Denied(f"{principal.name} belongs to another organisation", hidden=True)
    if action not in MAY[principal.role]:
        able = next(role for role, actions in MAY.items() if action in actions)
        return Denied(f"{principal.role}s may not {action}: it takes the role {able}")
    return None


def action_for(entity: Entity) -> Action:
    """What changing the entity takes."""
    return "administer" if isinstance(entity, Organisation | User | ApiKey | KeyUse) else "write"


def may_grant(principal: Principal, role: AccessRole) -> Denied | None:
    """Nobody hands out more than they have. None: allowed."""
    if set(MAY[role]) <= set(MAY[principal.role]):
        return None
    return Denied(f"{principal.role}s cannot make somebody {role}")


def may_see(principal: Principal, entity: Entity) -> bool:
    """Whether an entity is shown at all. What a model measured is never part of this: `public`
    shows the entry of the registry to everybody and nothing else."""
    if principal.role == "operator":
        return True
    if isinstance(entity, Model) and entity.visibility == "public":
        return True
    if entity.org_id != principal.org_id:
        return False
    if isinstance(entity, Model) and entity.visibility == "private":
        return principal.role == "admin" or entity.owner in _names(principal)
    if isinstance(entity, User | ApiKey | KeyUse):
        return principal.role == "admin"
    return True


def _names(principal: Principal) -> tuple[str, ...]:
    return (principal.name,) if principal.user_id is None else (principal.name, principal.user_id)
