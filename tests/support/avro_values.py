"""Hypothesis strategies for every value that an Avro schema allows."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False),
    "string": st.text(max_size=40),
    "bytes": st.binary(max_size=40),
}
_MOMENTS = st.integers(-(10**12), 4 * 10**12).map(lambda ms: EPOCH + timedelta(milliseconds=ms))


def values(avro: Any, named: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    """Values of this type. Records of a union come as (full name, mapping).

    `named`: types that were defined before and are meant by their names now.
    """
    named = {} if named is None else named
    if isinstance(avro, list):
        return st.one_of([_branch(branch, named) for branch in avro])
    if isinstance(avro, str):
        name = avro.removeprefix("rheostat.")
        return values(named[name], named) if name in named else _PLAIN[name]
    if avro.get("logicalType") == "timestamp-millis":
        return _MOMENTS
    if "name" in avro:
        named[avro["name"]] = avro
    match avro["type"]:
        case "record":
            fields = {f["name"]: values(f["type"], named) for f in avro["fields"]}
            return st.fixed_dictionaries(fields)
        case "array":
            return st.lists(values(avro["items"], named), max_size=3)
        case "enum":
            return st.sampled_from(avro["symbols"])
        case plain:
            return _PLAIN[plain]


def _branch(avro: Any, named: dict[str, Any]) -> st.SearchStrategy[Any]:
    if isinstance(avro, dict) and avro["type"] == "record":
        name = f"{avro['namespace']}.{avro['name']}"
        return values(avro, named).map(lambda value: (name, value))
    return values(avro, named)
