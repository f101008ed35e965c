"""The application: every module of `api.routes` under one prefix, behind one door."""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache, partial

from fastapi import APIRouter, Depends, FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Route

from api import handlers, openapi, routes
from api.access import caller
from api.edge import Edge
from api.runtime import Api
from api.services import Services

PREFIX = "/api/v1/evaluation"


def create_app(services: Services) -> FastAPI:
    """The API over services that its owner starts and closes."""
    app = FastAPIOffline(
        title="Rheostat",
        version="1",
        summary="Models, their measurements, and which of them serves what.",
        redirect_slashes=False,
        redoc_url=None,
        swagger_ui_parameters={"persistAuthorization": True, "displayRequestDuration": True},
    )
    api = Api.over(services)
    app.state.api = api
    app.router.routes.extend(_behind_the_door().routes)
    handlers.install(app, partial(_methods_at, _all()))
    openapi.install(app)
    app.add_middleware(Edge, api=api, prefix=PREFIX)
    config = services.config
    if config.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(config.cors_origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["ETag", "Retry-After", "Location", "Idempotent-Replay"],
        )
    return app


@cache
def _behind_the_door() -> APIRouter:
    """All endpoints below the prefix. Made once: finding out what they depend on takes FastAPI a
    third of a second."""
    found = APIRouter()
    # Also for endpoints that do not ask who calls: no route is open by mistake.
    found.include_router(_all(), prefix=PREFIX, dependencies=[Depends(caller)])
    return found


@cache
def _all() -> APIRouter:
    """Every module's endpoints; fixed paths come before those with parameters in their place."""
    found = APIRouter()
    found.routes.extend(sorted(_routes(), key=_rank))
    return found


def _methods_at(router: APIRouter, path: str) -> set[str]:
    """The methods of all endpoints at the path."""
    below = path.removeprefix(PREFIX)
    at = (r for r in router.routes if isinstance(r, Route) and r.path_regex.match(below))
    return {method for route in at for method in route.methods or ()}


def _routes() -> Iterator[BaseRoute]:
    for module in pkgutil.iter_modules(routes.__path__, f"{routes.__name__}."):
        router: APIRouter = importlib.import_module(module.name).router
        yield from router.routes


def _rank(route: BaseRoute) -> list[str]:
    assert isinstance(route, Route)
    return [_place(part) for part in route.path.split("/")]


def _place(part: str) -> str:
    """Parameters after letters, those that take slashes after them, the end of a path last."""
    if not part:
        return "\x7f3"
    if part.endswith(":path}"):
        return "\x7f2"
    return "\x7f1" if "{" in part else part
