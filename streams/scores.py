"""The scores inside evaluation results, as records of their own: one a score."""

from dataclasses import replace

import numpy as np
import polars as pl

from streams.columns import Mask, Numbers, Records, Texts, join


def scores(records: Records, valid: Mask) -> Records:
    """A record for every score with a value, with its result's dimensions and time.

    `metric` is the score's name and `value` its value; a score without a value is no estimate and
    gives no record, and neither has one that is named quality where the result's own score is it.
    """
    own = quality(records)
    found = [
        (i, score["metric"].encode(), float(score["value"]))
        for i in np.flatnonzero(valid).tolist()
        for score in records.nested[i]["scores"]
        if score["value"] is not None and not (score["metric"] == "quality" and own[i])
    ]
    owner = np.array([i for i, _, _ in found], np.int64)
    raw = [records.raw[i] + name for i, name, _ in found]
    joined = join(raw)
    shift = joined.start - records.row_start[owner]
    texts = {
        name: Texts(
            column.start[owner] + shift,
            column.length[owner],
            column.begin[owner] + shift,
            column.end[owner] + shift,
            None if column.present is None else column.present[owner],
        )
        for name, column in records.texts.items()
    }
    size = np.array([len(name) for _, name, _ in found], np.int64)
    texts["metric"] = Texts(joined.end - size, size, joined.end - size, joined.end)
    value = np.array([value for _, _, value in found], np.float64)
    return replace(
        records,
        rows=records.rows[owner],
        raw=pl.Series(raw, dtype=pl.Binary),
        body=joined.body,
        row_start=joined.start,
        bad=np.zeros(len(found), np.bool_),
        numbers={
            "occurred_at": Numbers(records.numbers["occurred_at"].values[owner]),
            "value": Numbers(value),
        },
        texts=texts,
        text_runs=[(name,) for name in texts],
        nested=(),
    )


def quality(records: Records) -> Mask:
    """Which results have a score that is a share, and so their quality.

    What is measured on another scale is no quality, and stays a metric of its own name.
    """
    score = records.numbers.get("score")
    if score is None:
        return np.zeros(len(records), np.bool_)
    share = (score.values >= 0) & (score.values <= 1)
    return share if score.present is None else share & score.present
