"""One micro-batch in, partials and rejects out: the whole data lane between its two ends. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from schemas.catalog import SchemaCatalog
from streams.aggregate import tidy, wide
from streams.asked import asked
from streams.columns import Mask, Records
from streams.decode import decode
from streams.price import PriceTable
from streams.scores import scores
from streams.types import InvalidRecord, RawBatch
from streams.validate import Validity, validate


@dataclass(slots=True)
class Reduced:
    """What a batch comes to. `events` by topic; `rejects` by position in the batch's topics."""

    wide: list[pl.DataFrame] = field(default_factory=list)
    tidy: list[pl.DataFrame] = field(default_factory=list)
    events: dict[str, int] = field(default_factory=dict)
    rejects: list[tuple[RawBatch, InvalidRecord]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Context:
    """What the reduction depends on beside the messages. `records`: the record of each topic."""

    catalog: SchemaCatalog
    records: Mapping[str, str]
    prices: PriceTable
    retention_ms: int


def reduce(raws: Sequence[RawBatch], context: Context) -> Reduced:
    """Every message is counted once in a partial, or rejected once; or it is the result of a case
    that no model was asked now, which is an event but counts in no partial."""
    result = Reduced()
    for raw in raws:
        decoded = decode(raw, context.records[raw.topic], context.catalog)
        result.rejects += [(raw, reject) for reject in decoded.rejects]
        for records in decoded.records:
            validity = validate(records, raw, context.retention_ms)
            result.rejects += [(raw, reject) for reject in validity.rejects]
            counted = int(np.count_nonzero(validity.valid))
            if counted:
                result.events[raw.topic] = result.events.get(raw.topic, 0) + counted
                _count(records, validity, context.prices, result)
    return result


def _count(records: Records, validity: Validity, prices: PriceTable, result: Reduced) -> None:
    match records.record:
        case "InferenceEvent":
            result.wide.append(wide(records, validity.valid, "production", prices))
        case "FeedbackEvent":
            result.tidy.append(tidy(records, validity.valid, "production"))
        case "CaseResult":
            _count_results(records, asked(records, validity.valid), prices, result)
        case other:
            raise ValueError(f"nobody counts {other}")


def _count_results(records: Records, counted: Mask, prices: PriceTable, result: Reduced) -> None:
    if not counted.any():
        return
    result.wide.append(wide(records, counted, "evaluation", prices))
    scored = scores(records, counted)
    if len(scored):
        everything = np.ones(len(scored), np.bool_)
        result.tidy.append(tidy(scored, everything, "evaluation"))
