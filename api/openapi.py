"""The OpenAPI document: what FastAPI finds, with access and errors said once for all endpoints."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.problems import MEDIA_TYPE, ProblemBody
from api.record_docs import describe

SECURITY = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (rheo_…), or a token of the configured OIDC provider.",
    },
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
ANY = {
    "401": "The key or token is missing, wrong, expired or revoked.",
    "403": "The role does not allow it.",
    "404": "There is no such thing, or it is not the caller's to see.",
    "422": "A field or parameter is wrong; `errors` names it.",
    "429": "Too many requests; Retry-After says when to come back.",
    "503": "Kafka or ClickHouse is away; Retry-After says when to come back.",
}
BODY = {
    "400": "The body cannot be read.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large.",
    "415": "The body is of another type than is taken here.",
    "409": "Somebody else was faster, or it exists already.",
}
_BODIES = ("post", "put", "patch", "delete")


def install(app: FastAPI) -> None:
    """Makes `app.openapi` our document, made when first asked for."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        routes=app.routes,
    )
    components = found.setdefault("components", {})
    components["securitySchemes"] = SECURITY
    schemas = components.setdefault("schemas", {})
    template = "#/components/schemas/{model}"
    problem = ProblemBody.model_json_schema(ref_template=template)
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    describe(schemas)
    found["security"] = [{name: []} for name in SECURITY]
    for path in found["paths"].values():
        for method, operation in path.items():
            said = {**ANY, **(BODY if method in _BODIES else {})}
            for status, text in said.items():
                operation["responses"][status] = _response(text)
    return found


def _response(text: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": text, "content": {MEDIA_TYPE: {"schema": schema}}}
