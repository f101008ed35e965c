"""Results on the way into ClickHouse: of writers that knew less, and runs by their newest state."""

import io
import struct
from dataclasses import replace

import fastavro

from schemas.catalog import committed
from schemas.convert import to_record
from sinks.rows import Messages, event_rows
from sinks.run_rows import run_rows
from tests.support.events import CODEC, WEEK_MS, batch, case_result, never_skipped
from tests.support.runs import Bench, result

FIRST = 3
"""The id of CaseResult's first schema."""


def messages(values: list[bytes]) -> Messages:
    offsets = range(7, 7 + len(values))
    keys = [b"k"] * len(values)
    return Messages(
        batch(values, "case-results"), 0, offsets, keys, committed(), WEEK_MS, skip=never_skipped
    )


def test_a_result_of_the_first_schema_has_a_row_without_what_it_did_not_know() -> None:
    writer = committed().by_id(FIRST)
    assert writer is not None
    assert writer.version == 1
    out = io.BytesIO(struct.pack(">bI", 0, FIRST))
    out.seek(0, io.SEEK_END)
    fastavro.schemaless_writer(out, writer.parsed, case_result())
    (row,) = event_rows("CaseResult", ["occurred_at"])(messages([out.getvalue()])).to_pylist()
    assert (row["case_id"], row["output"], row["scores.value"]) == ("case-1", "42", [1.0])
    assert (row["score"], row["tags"], row["attempts"], row["cached"]) == (None, [], 1, False)


def test_of_each_run_in_a_batch_the_newest_state_is_stored() -> None:
    bench = Bench()
    bench.started()
    first = bench.run()
    bench.round(results=[result(c) for c in bench.cases])
    other = replace(first, run_id="r2")
    values = [CODEC.encode("EvaluationRun", to_record(run)) for run in (first, other, bench.run())]
    rows = {row["run_id"]: row for row in run_rows(messages(values)).to_pylist()}
    assert (rows["r1"]["state"], rows["r1"]["finished"]) == ("completed", 12)
    assert rows["r1"]["models.passed"] == [6, 6]
    assert rows["r1"]["src_offset"] == 9
    assert (rows["r2"]["state"], rows["r2"]["finished"]) == ("running", 0)
