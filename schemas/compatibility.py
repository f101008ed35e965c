"""Whether what one schema wrote can be read with another (Avro 1.12, "Schema Resolution")."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.errors import AvroException
from avro.schema import parse


def obstacle(writer: Mapping[str, Any], reader: Mapping[str, Any]) -> str | None:
    """Why the reader cannot take everything that the writer writes; None when it can."""
    return _obstacle(json.dumps(writer), json.dumps(reader))


@lru_cache(maxsize=256)
def _obstacle(writer: str, reader: str) -> str | None:
    try:
        found = ReaderWriterCompatibilityChecker().get_compatibility(parse(reader), parse(writer))
    except AvroException as error:
        return str(error)
    if found.compatibility is SchemaCompatibilityType.compatible:
        return None
    return f"at {', '.join(sorted(found.locations))}: {', '.join(sorted(found.messages))}"
