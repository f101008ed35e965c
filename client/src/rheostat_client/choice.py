"""What `Selector.choose` answers."""

from typing import Literal, NamedTuple

Source = Literal["live", "snapshot", "rules"]
"""Where a choice comes from.

live: a current update; snapshot: the last known good update (expired, or read from disk and not
yet confirmed by Kafka); rules: what the program configured for the case that there is neither.
"""


class Choice(NamedTuple):
    """The model that should serve, and why.

    `propensity`: the probability with which this model is chosen among those that met the
    requirements, in (0, 1]. `selection_id`: the update that was followed; None for rules.
    """

    capability: str
    model_id: str
    model_version: str
    selection_id: str | None
    propensity: float
    reason: str
    source: Source
