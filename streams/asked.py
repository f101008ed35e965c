"""Which results of an evaluation say something new of the model: those of cases that it was asked.

Answers of an earlier run that were scored again were counted when they came: with what they cost,
how long they took, and the scores of that time. Panes only add up, so that a second score of the
same answer would stand beside the first, not in its place.
"""

import numpy as np

from schemas.evaluations import UNASKED
from streams.columns import Mask, Records


def asked(records: Records, valid: Mask) -> Mask:
    """The valid results without those of UNASKED cases and those that were scored again."""
    present = records.texts["error_type"].present
    failed = np.flatnonzero(valid if present is None else valid & present)
    unasked = records.text("error_type", failed).is_in(UNASKED).to_numpy()
    found: Mask = valid & (records.numbers["rescored"].values == 0)
    found[failed[unasked]] = False
    return found
