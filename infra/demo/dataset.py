"""The demo's real input: arrivals and tokens of one trace, outcomes of two models on questions.

Sources and licences: infra/demo/data/README.md.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import resources

MODELS: Mapping[str, str] = {
    "mixtral-8x7b-instruct": "mixtral_8x7b_correct",
    "gpt-4-1106-preview": "gpt_4_1106_preview_correct",
}
"""Model ids and the columns that hold their outcomes."""
_DATA = resources.files("infra.demo") / "data"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One production request. `at_ms`: since the first request of the trace."""

    at_ms: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a subject. `correct`: by model id, whether its answer was right."""

    subject: str
    case: int
    correct: Mapping[str, bool]


def arrivals() -> tuple[Arrival, ...]:
    """The whole trace, in order of time."""
    rows = [
        (_moment(row["TIMESTAMP"]), int(row["ContextTokens"]), int(row["GeneratedTokens"]))
        for row in _rows("azure_llm_code_trace.csv")
    ]
    rows.sort(key=lambda row: row[0])
    begin = rows[0][0]
    return tuple(
        Arrival(round((at - begin).total_seconds() * 1000), inputs, outputs)
        for at, inputs, outputs in rows
    )


def questions() -> tuple[Question, ...]:
    """Every question, in the order of the file."""
    return tuple(
        Question(
            row["subject"],
            int(row["case"]),
            {model: row[column] == "1" for model, column in MODELS.items()},
        )
        for row in _rows("router_outcomes.csv")
    )


def _rows(name: str) -> Iterator[dict[str, str]]:
    with (_DATA / name).open(encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _moment(text: str) -> datetime:
    # The trace has seven decimals; Python takes six.
    return datetime.fromisoformat(text[:26])
