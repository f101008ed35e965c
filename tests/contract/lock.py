"""What has been published under each schema id: python -m tests.contract.lock adds what is new."""

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parent / "schemas.lock.json"


def published() -> dict[str, dict[str, str]]:
    """The committed lock: id -> record and checksum."""
    value: dict[str, dict[str, str]] = json.loads(LOCK.read_text())
    return value


def present() -> dict[str, dict[str, str]]:
    """The same for the schemas of this checkout."""
    folder = resources.files("schemas")
    ids: dict[str, dict[str, Any]] = json.loads((folder / "ids.json").read_text())
    return {
        key: {
            "record": entry["record"],
            "sha256": checksum(json.loads((folder / entry["file"]).read_text())),
        }
        for key, entry in ids.items()
    }


def checksum(schema: Any) -> str:
    """Of everything in a schema but its documentation, which may always be improved."""
    text = json.dumps(_without_docs(schema), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _without_docs(schema: Any) -> Any:
    if isinstance(schema, dict):
        # A field named "doc" is a mapping's value here, never its key.
        return {k: _without_docs(v) for k, v in schema.items() if k != "doc"}
    return [_without_docs(part) for part in schema] if isinstance(schema, list) else schema


def main() -> None:
    """Adds new ids; never touches what is there."""
    LOCK.write_text(json.dumps({**present(), **published()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
