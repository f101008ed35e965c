"""The query side of evaluations: what a run's cases ended in. One organisation at a time.

A case that was asked again has several rows: the newest counts, and only it is read here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from schemas.evaluations import CaseResult, Score
from sinks.clickhouse import ClickHouse

PAGE_CASES = 5000
ERROR_CHARS_MAX = 500
"""Of an example of an error."""
CaseOrder = Literal["case", "worst", "slowest", "dearest"]


@dataclass(frozen=True, slots=True)
class ModelTotals:
    """A version of a model over a run. Latencies in ms of calls that were made (not cached).

    `judge_cost_usd`: of judges' calls where it is known; `judge_unpriced`: results where it is not.
    `errors`: how many results by error_type.
    None: nothing was measured.
    """

    model_id: str
    model_version: str
    results: int
    calls: int
    cached: int
    input_tokens: int
    output_tokens: int
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    latency_p99_ms: float | None
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    judge_calls: int
    judge_cost_usd: float | None
    judge_unpriced: int
    errors: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CaseQuestion:
    """Which results of a run to look at; '' and None ask for all. `order` worst: lowest score
    first, results without one before them."""

    org_id: str
    run_id: str
    case_id: str = ""
    model_id: str = ""
    split: str = ""
    tag: str = ""
    passed: bool | None = None
    failed: bool | None = None
    order: CaseOrder = "case"
    limit: int = 100
    offset: int = 0


def model_totals(clickhouse: ClickHouse, org_id: str, run_id: str) -> list[ModelTotals]:
    """By model and version. Raises Backpressure, SinkBroken."""
    rows = clickhouse.rows(_TOTALS, _of(clickhouse, org_id, run_id))
    return [ModelTotals(*(*row[:-1], dict(row[-1]))) for row in rows]


@dataclass(frozen=True, slots=True)
class ErrorExample:
    """What the first case of a version of a model that ended in this `error_type` was told; '':
    nothing. At most ERROR_CHARS_MAX characters of it."""

    model_id: str
    model_version: str
    error_type: str
    case_id: str
    text: str


def error_examples(clickhouse: ClickHouse, org_id: str, run_id: str) -> list[ErrorExample]:
    """One of each model, version and error_type. Raises Backpressure, SinkBroken."""
    rows = clickhouse.rows(_EXAMPLES, _of(clickhouse, org_id, run_id))
    return [ErrorExample(*row) for row in rows]


def scored(clickhouse: ClickHouse, org_id: str, run_id: str) -> Iterator[CaseResult]:
    """Every result in order of cases, without outputs and explanations, a page at a time.

    Raises Backpressure, SinkBroken.
    """
    after = ""
    while True:
        parameters = {**_of(clickhouse, org_id, run_id), "after": after, "page": PAGE_CASES}
        rows = clickhouse.rows(_SCORED, parameters)
        if not rows:
            return
        yield from (_result(row) for row in rows)
        after = str(rows[-1][_COLUMNS.index("case_id")])


def cases(clickhouse: ClickHouse, asked: CaseQuestion) -> list[CaseResult]:
    """Whole results, with what was answered. Raises Backpressure, SinkBroken."""
    parameters = {
        **_of(clickhouse, asked.org_id, asked.run_id),
        "case_id": asked.case_id,
        "model_id": asked.model_id,
        "split": asked.split,
        "tag": asked.tag,
        "passed": -1 if asked.passed is None else int(asked.passed),
        "failed": -1 if asked.failed is None else int(asked.failed),
        "limit": asked.limit,
        "offset": asked.offset,
    }
    return [_result(row) for row in clickhouse.rows(_CASES[asked.order], parameters)]


def count(clickhouse: ClickHouse, org_id: str, run_id: str) -> int:
    """How many results there are to read. Raises Backpressure, SinkBroken."""
    ((found,),) = clickhouse.rows(_COUNT, _of(clickhouse, org_id, run_id))
    return int(found)


def _of(clickhouse: ClickHouse, org_id: str, run_id: str) -> dict[str, Any]:
    return {"database": clickhouse.database, "org_id": org_id, "run_id": run_id}


def _result(row: Sequence[Any]) -> CaseResult:
    plain = dict(zip(_COLUMNS, row, strict=True))
    lists = [plain.pop(name) for name in _SCORE_COLUMNS]
    plain["occurred_at"] = datetime.fromtimestamp(plain["occurred_at"] / 1000, UTC)
    plain["ab_test_id"] = plain["ab_test_id"] or None
    plain["arm"] = plain["arm"] or None
    plain["tags"] = tuple(plain["tags"])
    return CaseResult(**plain, scores=tuple(Score(*each) for each in zip(*lists, strict=True)))


_SCORE_COLUMNS = (
    "scores.metric",
    "scores.scorer",
    "scores.scorer_version",
    "scores.value",
    "scores.label",
    "scores.explanation",
)
_COLUMNS = (
    *(name for name in CaseResult.__dataclass_fields__ if name != "scores"),
    *_SCORE_COLUMNS,
)


def _columns(light: bool) -> str:
    empty = {
        "output": "NULL",
        "error_text": "NULL",
        "scores.explanation": "arrayResize([CAST(NULL AS Nullable(String))], "
        "length(`scores.metric`))",
    }
    special = {"occurred_at": "toUnixTimestamp64Milli(occurred_at)", **(empty if light else {})}
    return ", ".join(special.get(name, f"`{name}`") for name in _COLUMNS)


_NEWEST = """
FROM (
    SELECT *
    FROM {database:Identifier}.case_results
    WHERE org_id = {org_id:String} AND run_id = {run_id:String} AND case_id > {after:String}
    ORDER BY case_id, occurred_at DESC, src_offset DESC
    LIMIT 1 BY case_id, epoch, model_id, model_version
)
"""
_ALL = _NEWEST.replace(" AND case_id > {after:String}", "")

_SCORED = f"""
SELECT {_columns(light=True)}
{
    _NEWEST.replace(
        "case_id > {after:String}",
        '''case_id IN (
        SELECT DISTINCT case_id FROM {database:Identifier}.case_results
        WHERE org_id = {org_id:String} AND run_id = {run_id:String} AND case_id > {after:String}
        ORDER BY case_id LIMIT {page:UInt32}
      )''',
    )
}
ORDER BY case_id, epoch, model_id, model_version
"""

_WHERE = """
WHERE ({case_id:String} = '' OR case_id = {case_id:String})
  AND ({model_id:String} = '' OR model_id = {model_id:String})
  AND ({split:String} = '' OR split = {split:String})
  AND ({tag:String} = '' OR has(tags, {tag:String}))
  AND ({passed:Int8} = -1 OR passed = {passed:Int8})
  AND ({failed:Int8} = -1 OR (error_type IS NOT NULL) = {failed:Int8})
"""
_ORDERS: Mapping[CaseOrder, str] = {
    "case": "",
    "worst": "score ASC NULLS FIRST, ",
    "slowest": "latency_ms DESC NULLS LAST, ",
    "dearest": "cost_usd DESC NULLS LAST, input_tokens + output_tokens DESC, ",
}
_CASES = {
    name: f"""
SELECT {_columns(light=False)}
{_ALL} {_WHERE}
ORDER BY {order} case_id, epoch, model_id, model_version
LIMIT {{limit:UInt32}} OFFSET {{offset:UInt32}}
"""
    for name, order in _ORDERS.items()
}

_COUNT = f"SELECT count() {_ALL}"

_TOTALS = f"""
SELECT model_id, model_version, count(), toUInt64(sum(attempts)), toUInt64(sum(cached)),
    toUInt64(sum(t.input_tokens)), toUInt64(sum(t.output_tokens)),
    if(count(latency_ms) = 0, NULL, quantileExact(0.5)(latency_ms)),
    if(count(latency_ms) = 0, NULL, quantileExact(0.95)(latency_ms)),
    if(count(latency_ms) = 0, NULL, quantileExact(0.99)(latency_ms)),
    if(count(ttft_ms) = 0, NULL, quantileExact(0.5)(ttft_ms)),
    if(count(ttft_ms) = 0, NULL, quantileExact(0.95)(ttft_ms)),
    toUInt64(sum(t.judge_calls)), sum(t.judge_cost_usd),
    countIf(t.judge_calls > 0 AND t.judge_cost_usd IS NULL),
    arrayMap((k, v) -> (k, v),
        (sumMapIf([assumeNotNull(error_type)], [toUInt64(1)], error_type IS NOT NULL) AS e).1, e.2)
{_ALL.rstrip()} AS t
GROUP BY model_id, model_version
ORDER BY model_id, model_version
"""

_EXAMPLES = f"""
SELECT model_id, model_version, assumeNotNull(error_type),
    argMin(e.case_id, (isNull(e.error_text), e.case_id, e.epoch)),
    argMin(leftUTF8(ifNull(e.error_text, ''), {ERROR_CHARS_MAX}),
        (isNull(e.error_text), e.case_id, e.epoch))
{_ALL.rstrip()} AS e
WHERE error_type IS NOT NULL
GROUP BY model_id, model_version, error_type
ORDER BY model_id, model_version, error_type
"""
