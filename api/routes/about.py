"""Who am I: the first request of a new key."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.access import Caller
from schemas.access import AccessRole

router = APIRouter(tags=["access"])


class Me(BaseModel):
    """The caller."""

    name: str = Field(description="Stands as author beside what is changed.")
    org_id: str = Field(description="`*` for operators, who belong to none.")
    role: AccessRole
    user_id: str | None


@router.get("/me/", summary="Who is asking")
async def me(principal: Caller) -> Me:
    """Who the key or token belongs to, and what it may do."""
    return Me(
        name=principal.name,
        org_id=principal.org_id,
        role=principal.role,
        user_id=principal.user_id,
    )
