"""What other weights would have given an A/B test, from its logged propensities: sums over calls.

Each call carries the propensity with which its arm was chosen. Under other weights it counts with
w = other weight / propensity. The sums are those of streams.statistics.bandit.Logged.
"""

from collections.abc import Mapping

from sinks.clickhouse import ClickHouse
from streams.statistics.bandit import Logged

REWARDS: Mapping[str, str] = {
    "quality": "quality",
    "latency_ms": "latency_ms",
    "ttft_ms": "ttft_ms",
    "cost_usd": "cost_usd",
    "error": "toFloat64(error_type IS NOT NULL)",
}
"""Of the call itself; outcomes that come later do not carry a propensity."""


def by_arm(
    clickhouse: ClickHouse, org_id: str, ab_test_id: str, metric: str, weights: Mapping[str, float]
) -> tuple[Mapping[str, Logged], Mapping[str, Logged]]:
    """Of calls that carry a propensity above 0 and the metric, by arm, in two halves by a hash of
    their ids. `weights` of arms add up to 1; an arm that is not named has 0. Raises KeyError for a
    metric that is not in REWARDS, Backpressure, SinkBroken.
    """
    rows = clickhouse.rows(
        _LOGGED.replace("REWARD", REWARDS[metric]),
        {
            "database": clickhouse.database,
            "org_id": org_id,
            "ab_test_id": ab_test_id,
            "arms": list(weights),
            "shares": [float(share) for share in weights.values()],
        },
    )
    folds: tuple[dict[str, Logged], dict[str, Logged]] = ({}, {})
    for half, arm, *sums in rows:
        folds[half][arm] = Logged(*sums)
    return folds


_LOGGED = """
SELECT half, arm, count(), sum(w), sum(w * w), sum(w * y), sum(w * w * y), sum(w * w * y * y)
FROM (
    SELECT
        cityHash64(event_id) % 2 AS half,
        assumeNotNull(arm) AS arm,
        assumeNotNull(REWARD) AS y,
        transform(arm, {arms:Array(String)}, {shares:Array(Float64)}, 0.) AS other,
        other / assumeNotNull(propensity) AS w
    FROM {database:Identifier}.inference_events
    WHERE org_id = {org_id:String} AND ab_test_id = {ab_test_id:String}
      AND propensity > 0 AND REWARD IS NOT NULL
)
GROUP BY half, arm
ORDER BY half, arm
"""
