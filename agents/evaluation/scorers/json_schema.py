"""Whether the answer is JSON that fits a schema."""

import json
from collections.abc import Iterator
from typing import Any, Literal

from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for
from pydantic import Field, field_validator, model_validator
from referencing import Registry
from referencing.exceptions import Unresolvable

from agents.evaluation.scorers.base import Absent, Fields, Found, Options, Scorer, shorten
from agents.evaluation.scorers.fences import blocks


class SchemaOptions(Options):
    """`schema`, or `schema_field`: the case's field that holds it (an object)."""

    schema_: dict[str, Any] | None = Field(None, alias="schema")
    schema_field: str | None = None
    within: Literal["whole", "fenced", "anywhere"] = Field(
        "fenced",
        description="whole: the answer is nothing but JSON; fenced: or the last fenced block is; "
        "anywhere: or it stands between other text",
    )

    @field_validator("schema_")
    @classmethod
    def _is_a_schema(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        wrong = mistake(schema or {})
        if wrong is not None:
            raise ValueError(wrong)
        return schema

    @model_validator(mode="after")
    def _is_complete(self) -> "SchemaOptions":
        if (self.schema_ is None) == (self.schema_field is None):
            raise ValueError("give either schema or schema_field")
        return self


def score(answer: str, fields: Fields, options: SchemaOptions) -> Found | Absent:
    """1 when the answer's JSON fits, 0 when it does not or is no JSON: label says which.

    The draft is the one that $schema names, else 2020-12. References to other documents are not
    followed: nothing is fetched.
    """
    schema: Any = options.schema_
    if options.schema_field is not None:
        schema = fields.get(options.schema_field)
        wrong = mistake(schema)
        if wrong is not None:
            return Absent(f"the field {options.schema_field!r} of the case: {wrong}")
    why = ""
    for text in _candidates(answer, options.within):
        try:
            value = _strict(text)
            break
        except (ValueError, RecursionError) as wrong_json:
            why = str(wrong_json)
    else:
        return Found(0.0, "no JSON", shorten(why))
    validator = validator_for(schema)(schema, registry=Registry())
    try:
        error = next(validator.iter_errors(value), None)
    except Unresolvable as missing:
        return Absent(f"the schema refers to {missing.ref!r}, which it does not hold")
    except RecursionError:
        return Found(0.0, "invalid", "nested too deep to be compared with the schema")
    if error is None:
        return Found(1.0, "valid")
    place = "/".join(str(part) for part in error.absolute_path) or "the whole"
    return Found(0.0, "invalid", f"{place}: {shorten(error.message, 300)}")


def mistake(schema: object) -> str | None:
    """What is wrong with a schema; None: nothing."""
    if not isinstance(schema, dict):
        return "a schema is an object"
    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as error:
        return f"no JSON schema: {shorten(error.message, 300)}"
    except RecursionError:
        return "no JSON schema: nested too deep"
    return None


def _candidates(answer: str, within: str) -> Iterator[str]:
    if within != "whole":
        for language, content in reversed(blocks(answer)):
            if language in ("", "json", "jsonc", "json5"):
                yield content
    yield answer
    if within == "anywhere":
        starts = [at for mark in "{[" if (at := answer.find(mark)) >= 0]
        ends = [at for mark in "}]" if (at := answer.rfind(mark)) >= 0]
        if starts and ends:
            yield answer[min(starts) : max(ends) + 1]


def _strict(text: str) -> Any:
    """JSON as RFC 8259 has it: no NaN, no Infinity, no name twice in an object."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is no JSON")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a name occurs twice in an object")
        return found

    return json.loads(text.strip(), parse_constant=refuse, object_pairs_hook=once)


JSON_SCHEMA = Scorer("json_schema", "1", SchemaOptions, score)
