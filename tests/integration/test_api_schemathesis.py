"""Whatever the OpenAPI document allows, and what it does not: no endpoint breaks.

Every operation of the document, those that are added later too, over the real ClickHouse engine and
a registry that judges as the agent does. Seeded: the same requests every time.
"""

from collections import Counter
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok

from api.app import PREFIX
from infra.settings import Settings
from infra.workers import migrate
from schemas.access import AccessRole
from sinks.clickhouse import ClickHouse
from tests.support.api import Api
from tests.support.entities import FULL
from tests.support.servers import ClickHouseServer

pytestmark = pytest.mark.integration
UPLOADS = "/suites/load/"
"""Takes nothing, and writes cases to a broker that is not here; test_evaluations_http asks it."""
TIMEOUT_S = 60.0
ENDLESS = ("events", "stream")
"""Parts of addresses that answer without end."""


@pytest.fixture(scope="module")
def api(clickhouse: ClickHouseServer) -> Api:
    from pydantic import SecretStr

    migrate(Settings(clickhouse_url=SecretStr(clickhouse.url)))
    found = Api(clickhouse=lambda: ClickHouse(clickhouse.url))
    found.put(*(e for e in FULL if e.kind not in ("organisation", "api_key", "key_use")))
    return found


@pytest.mark.parametrize(
    ("role", "examples"),
    [("admin", 5), pytest.param("operator", 20, marks=pytest.mark.chaos)],
)
@pytest.mark.timeout(900)
def test_no_request_breaks_an_endpoint(api: Api, role: AccessRole, examples: int) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", api.app)
    headers = {"Authorization": f"Bearer {api.key(role).token}"}
    seen, answers = 0, Counter[int]()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if operation.path.endswith(UPLOADS) or any(word in operation.path for word in ENDLESS):
            continue
        seen += 1
        answers += _try(operation, headers, role, examples)
    assert seen > 50
    assert min(answers[200], answers[201], answers[404], answers[422]) > 5, answers


def _try(operation: Any, headers: dict[str, str], role: str, examples: int) -> Counter[int]:
    answers = Counter[int]()
    params = {"org_id": "acme"} if role == "operator" else {}
    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes))

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def check(case: Any) -> None:
        answer = case.call(headers=headers, params=params, timeout=TIMEOUT_S)
        answers[answer.status_code] += 1
        said = f"{case.method} {case.formatted_path} {case.query} {case.body!r}: {answer.content!r}"
        assert answer.status_code < 500, said
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == ["application/problem+json"], said

    check()
    return answers


def test_the_document_covers_the_app(api: Api) -> None:
    from tests.support.api import endpoints

    paths = api.app.openapi()["paths"]
    for method, path in endpoints(api.app):
        if path.startswith(PREFIX) and method != "HEAD":
            assert method.lower() in paths[path.replace(":path}", "}")], (method, path)
