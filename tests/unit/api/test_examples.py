"""The examples of the documentation: every JSON body has one, and is taken as it stands."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from api.app import PREFIX
from api.examples import EXAMPLES
from tests.support.api import Api

IDS = {"org_id": "acme", "run_id": "none", "alias": "champion"} | {
    name: value
    for kind in EXAMPLES.values()
    for name, value in kind.items()
    if name.endswith(("_id", "_version")) or name == "capability"
}
TEXTS = ("application/json", "application/yaml")


def bodies() -> Iterator[tuple[str, str, str, Any]]:
    """Method, path, media type and example of every body that is text; None: it has none."""
    document = Api().app.openapi()
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            for media_type in sorted(content.keys() & set(TEXTS)):
                example = _example(content[media_type], schemas)
                yield method.upper(), path.removeprefix(PREFIX), media_type, example


def _example(content: dict[str, Any], schemas: dict[str, Any]) -> Any:
    schema = content["schema"]
    schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    examples = [x["example"] for x in (content, schema) if "example" in x]
    return next(iter([*examples, *schema.get("examples", ())]), None)


@pytest.mark.parametrize("case", list(bodies()), ids=lambda case: f"{case[0]} {case[1]} {case[2]}")
def test_an_example_is_taken_as_it_stands(case: tuple[str, str, str, Any]) -> None:
    method, path, media_type, example = case
    assert example is not None
    shown = example if isinstance(example, str) else json.dumps(example)
    ids = IDS | (example if method == "PUT" else {})
    address = re.sub(r"{(\w+)}", lambda found: str(ids[found[1]]), path)
    answer = (
        Api()
        .client("admin")
        .request(method, address, content=shown, headers={"Content-Type": media_type})
    )
    wrong = answer.json().get("errors", ()) if answer.status_code == 422 else ()
    # Others that it refers to are not there; nothing else may be said against it.
    assert [w for w in wrong if not re.search("there is no|has no|needs", w["text"])] == []
