"""A/B tests, policies, capabilities, organisations and users: the same endpoints for each."""

from fastapi import APIRouter

from api.crud import Crud
from api.kinds import AB_TESTS, CAPABILITIES, ORGANISATIONS, POLICIES, USERS

router = APIRouter()
for kind, tag in (
    (AB_TESTS, "A/B tests"),
    (POLICIES, "policies"),
    (CAPABILITIES, "capabilities"),
    (ORGANISATIONS, "access"),
    (USERS, "access"),
):
    Crud(kind, router, tag).add()
