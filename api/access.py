"""What an endpoint may ask of its request: who calls, what they see, whose data it is about.

The only place where the API is cut to organisations. No endpoint scopes by itself.
"""

from typing import Annotated

from fastapi import Depends, Query, Request

from agents.access.authorise import Action, Principal, authorise
from agents.access.scope import Scoped
from api.answers import CALLER
from api.problems import Problem, invalid, not_found
from api.runtime import Api
from api.services import Services
from schemas.types import Name


async def _api(request: Request) -> Api:
    found: Api = request.app.state.api
    return found


TheApi = Annotated[Api, Depends(_api)]


async def services(api: TheApi) -> Services:
    """What the process holds."""
    return api.services


TheServices = Annotated[Services, Depends(services)]


async def caller(request: Request, api: TheApi) -> Principal:
    """Whoever sent the request. Every endpoint asks, whether it says so or not (see api.app)."""
    known: Principal | None = request.scope.get(CALLER)  # as api.edge found out
    if known is not None:
        return known
    address = "" if request.client is None else request.client.host
    return await api.gate.admit(request.headers, address)


Caller = Annotated[Principal, Depends(caller)]


async def reads(principal: Caller, api: TheApi) -> Scoped:
    """The registry as the caller may see it."""
    return Scoped(api.gate.registry(), principal)


Reads = Annotated[Scoped, Depends(reads)]


OrgGiven = Annotated[
    Name | None,
    Query(
        alias="org_id",
        description="The organisation, for operators. Everybody else has one of their own.",
    ),
]


def target(principal: Principal, org_id: str | None) -> str:
    """The organisation that a request is about: the caller's own; an operator says which.

    Raises Problem 422 when an operator does not, 404 for another's.
    """
    if principal.role == "operator":
        if org_id is None:
            raise invalid("org_id", "an operator must say which organisation: ?org_id=…")
        return org_id
    if org_id not in (None, principal.org_id):
        raise not_found(f"organisation {org_id}")
    return principal.org_id


async def organisation(principal: Caller, org_id: OrgGiven = None) -> str:
    """The organisation that a query or a change is scoped to (see `target`)."""
    return target(principal, org_id)


Org = Annotated[str, Depends(organisation)]


async def organisation_or_all(principal: Caller, org_id: OrgGiven = None) -> str | None:
    """As `organisation`; None, everything there is, for an operator who names none."""
    return None if principal.role == "operator" and org_id is None else target(principal, org_id)


OrgOrAll = Annotated[str | None, Depends(organisation_or_all)]


async def addressed(
    principal: Caller,
    org_id: Annotated[
        Name | None,
        Query(description="The organisation that it belongs to. Left out: the caller's."),
    ] = None,
) -> str:
    """The organisation in the address of an entity of the registry, which may be another's: `Reads`
    shows what is public there, and nothing else."""
    if org_id is None and principal.role == "operator":
        raise invalid("org_id", "an operator must say which organisation: ?org_id=…")
    return org_id or principal.org_id


Addressed = Annotated[str, Depends(addressed)]


def demand(principal: Principal, action: Action, org_id: str) -> None:
    """Raises Problem when the caller may not: 403, or 404 for what they may not know of."""
    denied = authorise(principal, action, org_id)
    if denied is None:
        return
    if denied.hidden:
        raise not_found(f"organisation {org_id}")
    raise Problem(403, "forbidden", denied.reason)
