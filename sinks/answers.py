"""What models answered to the cases of a run: to be scored again."""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.evaluations import Score
from sinks.clickhouse import ClickHouse


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The newest answer of a model to a case in an epoch, with what this suite's scorers said."""

    case_id: str
    epoch: int
    model_id: str
    model_version: str
    output: str
    suite_id: str
    suite_version: str
    scores: tuple[Score, ...]


def stored_answers(
    clickhouse: ClickHouse, org_id: str, run_id: str, case_ids: Sequence[str]
) -> list[StoredAnswer]:
    """Without the cases that ended in an error. Raises Backpressure, SinkBroken."""
    parameters = {
        "database": clickhouse.database,
        "org_id": org_id,
        "run_id": run_id,
        "case_ids": list(case_ids),
    }
    rows = clickhouse.rows(_ANSWERS, parameters)
    return [StoredAnswer(*(*row[:7], tuple(Score(*each) for each in row[7]))) for row in rows]


_ANSWERS = """
SELECT case_id, epoch, model_id, model_version, assumeNotNull(output), suite_id, suite_version,
    arrayZip(
        `scores.metric`, `scores.scorer`, `scores.scorer_version`,
        `scores.value`, `scores.label`, `scores.explanation`
    )
FROM (
    SELECT case_id, epoch, model_id, model_version, output, error_type, suite_id, suite_version,
        `scores.metric`, `scores.scorer`, `scores.scorer_version`,
        `scores.value`, `scores.label`, `scores.explanation`
    FROM {database:Identifier}.case_results
    WHERE org_id = {org_id:String} AND run_id = {run_id:String}
      AND case_id IN {case_ids:Array(String)}
    ORDER BY occurred_at DESC, src_offset DESC
    LIMIT 1 BY case_id, epoch, model_id, model_version
)
WHERE error_type IS NULL AND output IS NOT NULL
"""
