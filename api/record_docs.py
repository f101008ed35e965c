"""What the documentation says of records that are answered as they are stored: the meaning of
fields, from the Avro schemas, which are the contract, and one example of each."""

from collections.abc import Iterator, Mapping
from typing import Any

from api.record_examples import EXAMPLES
from schemas.catalog import committed

RECORDS = ("AbVerdict", "Alert")
"""Those answered as they are, with the records inside of them."""
PLAIN: Mapping[str, str] = {
    "anytime_lower": "lower end of the interval that holds at every look",
    "anytime_upper": "upper end of the interval that holds at every look",
    "arm": "the arm",
    "baseline": "the arm that it is compared with",
    "events": "calls that were counted",
    "first_offset": "of the first record",
    "fixed_lower": "lower end of the interval that holds at one look",
    "fixed_upper": "upper end of the interval that holds at one look",
    "last_offset": "of the last record",
    "lower": "lower end of the interval",
    "mean": "expected mean of the metric",
    "mean_arm": "mean of the arm",
    "mean_baseline": "mean of the baseline",
    "metric": "the metric",
    "model_id": "the model that serves the arm",
    "n_arm": "values of the arm; by units: its units; offline: cases that both answered",
    "n_baseline": "values of the baseline, counted as those of the arm",
    "note": "why there is no estimate, or how it was made",
    "other": "the arm that it is compared with",
    "partition": "of the topic",
    "probability_best": "that it has the best mean of all arms",
    "role": "what the comparison is for: primary decides, a guardrail can prevent",
    "topic": "where the records are",
    "upper": "upper end of the interval",
    "verdict": "what the anytime interval says, in the metric's direction",
}
"""Of fields about which the schemas, which are frozen, say nothing."""


def describe(schemas: dict[str, Any]) -> None:
    """Adds to the components of an OpenAPI document what is said of each record and field. Answers
    hold every field, also one that has a default."""
    for name in RECORDS:
        for record, fields in _records(committed().newest(name).source):
            component = schemas[record]
            component["required"] = list(component["properties"])
            for field, found in component["properties"].items():
                found.pop("default", None)
                found["description"] = fields[field] or PLAIN[field]
        schemas[name]["example"] = EXAMPLES[name]


def _records(kind: Any) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Every record of an Avro type, with what it says of its fields."""
    if isinstance(kind, list):
        for branch in kind:
            yield from _records(branch)
    elif isinstance(kind, Mapping) and "fields" in kind:
        yield kind["name"], {field["name"]: field.get("doc", "") for field in kind["fields"]}
        for field in kind["fields"]:
            yield from _records(field["type"])
    elif isinstance(kind, Mapping):
        yield from _records(kind.get("items", kind["type"]))
