"""Rows of datasets: one a case, from messages that hold many."""

from typing import Any

import polars as pl
import pyarrow as pa

from sinks.rows import Messages, decoded, table_of


def dataset_rows(messages: Messages) -> pa.Table:
    """One row a case, at its place in the dataset."""
    rows = []
    for i, part in decoded(messages, "DatasetPart"):
        if part is None:
            continue
        common = {name: part[name] for name in ("org_id", "dataset_id", "dataset_version")}
        source = {"src_partition": messages.partition, "src_offset": messages.offsets[i]}
        for place, case in enumerate(part["cases"], part["first"]):
            if 0 <= place < 2**63:
                rows.append({**common, "place": place, **case, **source})
            else:
                messages.skip(messages.offsets[i], f"place {place} is no place in a dataset")
                break
    return table_of(pl.DataFrame(rows, schema=_COLUMNS)) if rows else pa.table({})


_COLUMNS: dict[str, Any] = {
    **dict.fromkeys(("org_id", "dataset_id", "dataset_version"), pl.String),
    "place": pl.UInt64,
    **dict.fromkeys(("case_id", "fields", "split"), pl.String),
    "tags": pl.List(pl.String),
    "cluster": pl.String,
    "src_partition": pl.UInt32,
    "src_offset": pl.UInt64,
}
