"""What the statistics cost, and how often they are wrong (bench.parts.stats_false_positives).

Verdicts are timed in this process from merged partials, as the monitor makes them; an update of a
test is one pane of partial rows for each arm, added, and the verdict after it, per CPU-second of
one core. Units are analysed in ClickHouse by the queries of sinks.ab_units.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import polars as pl

from agents.policy.trial import Cell, Trial, add
from agents.policy.verdicts import judge
from bench.context import Context
from bench.figures import Figure, median
from bench.parts import stats_false_positives
from schemas.entities import AbTest, Arm, MetricGoal
from sinks.ab_units import AbUnits
from sinks.clickhouse import ClickHouse
from sinks.migrate import TableOptions, apply
from streams.statistics import clusters, means, sequential
from streams.statistics.estimates import NoEstimate
from streams.statistics.sums import Sums
from tests.support.trials import rows

METRICS = (
    "quality",
    "thumbs_up",
    "latency_ms",
    "ttft_ms",
    "error",
    "cost_usd",
    "input_tokens",
    "output_tokens",
    "score",
    "solved",
)
RATES = frozenset(("error", "thumbs_up", "solved"))
PANES = 20
CALLS = 100
"""In a pane of an arm."""
VERDICTS = 200
UPDATES = 500
UNITS = 1_000_000
UNIT_CALLS = 2
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def run(context: Context) -> dict[str, Figure]:
    """Speed first, then the simulations, which take minutes."""
    found: dict[str, Figure] = {
        "stats.verdict_ms": round(verdict_ms(context.rounds), 3),
        "stats.tests_per_cpu_second": round(tests_per_cpu_second(context.rounds)),
    }
    context.say(f"a verdict of 4 arms and 10 metrics: {found['stats.verdict_ms']} ms")
    context.say(f"{found['stats.tests_per_cpu_second']} updated tests a CPU-second")
    found["stats.unit_analysis_ms"] = round(unit_analysis_ms(context))
    lines, power = stats_false_positives.simulate(stats_false_positives.TESTS, context.say)
    return found | stats_false_positives.figures(lines, power)


def ab_test(arms: int, metrics: int) -> AbTest:
    """The first two metrics are primary, the next three guardrails, the others secondary."""
    names = [chr(ord("a") + i) for i in range(arms)]
    roles = ["primary"] * 2 + ["guardrail"] * 3 + ["secondary"] * 10
    goals = tuple(
        MetricGoal(name, role, "higher", 0.01)  # type: ignore[arg-type] # of the list above
        for name, role in zip(METRICS[:metrics], roles, strict=False)
    )
    return AbTest(
        "acme",
        "bench",
        "chat",
        "user",
        tuple(Arm(name, f"model-{name}") for name in names),
        "a",
        goals,
        planned_n=2 * PANES * CALLS,
    )


def pane_values(rng: np.random.Generator, metric: str) -> list[float]:
    """The values of one pane of an arm."""
    drawn = rng.random(CALLS) < 0.1 if metric in RATES else rng.lognormal(0, 0.5, CALLS)
    return [float(value) for value in drawn]


def trial(test: AbTest, seed: int) -> Trial:
    """A test that has run for PANES panes."""
    rng = np.random.default_rng(seed)
    sums: dict[Cell, Sums] = {}
    for arm in test.arms:
        for metric in {"error", *(goal.metric for goal in test.metrics)}:
            total = Sums()
            for _ in range(PANES):
                values = np.array(pane_values(rng, metric))
                squares = float((values * values).sum())
                ends = float(values.min()), float(values.max())
                total += Sums.of_row(CALLS, float(values.sum()), squares, *ends)
            sums[Cell(arm.arm, metric)] = total
    return Trial(sums)


def verdict_ms(rounds: int) -> float:
    """Of 4 arms and 10 metrics, in CPU time: median over rounds of the mean of many."""
    test = ab_test(4, 10)
    state = trial(test, 1)
    judge(state, test, NOW)

    def once() -> float:
        began = time.process_time()
        for _ in range(VERDICTS):
            judge(state, test, NOW)
        return (time.process_time() - began) / VERDICTS * 1000

    return _median(once, rounds)


def tests_per_cpu_second(rounds: int) -> float:
    """Tests of 2 arms and 3 metrics: a pane of rows added, and the verdict."""
    test = ab_test(2, 3)
    state = trial(test, 2)
    new = _pane(test, np.random.default_rng(3))
    judge(add(state, test, new), test, NOW)

    def once() -> float:
        began = time.process_time()
        for _ in range(UPDATES):
            judge(add(state, test, new), test, NOW)
        return UPDATES / (time.process_time() - began)

    return _median(once, rounds)


def _pane(test: AbTest, rng: np.random.Generator) -> pl.DataFrame:
    metrics = ["error", "latency_ms", *(goal.metric for goal in test.metrics)]
    return rows(
        [
            {"arm": arm.arm, "metric": metric, "values": pane_values(rng, metric)}
            for arm in test.arms
            for metric in dict.fromkeys(metrics)
        ]
    )


def unit_analysis_ms(context: Context) -> float:
    """One metric of UNITS units in two arms, from their calls to the interval; median of runs."""
    context.lab.start_clickhouse()
    clickhouse = ClickHouse(context.lab.clickhouse_url)
    apply(clickhouse, TableOptions())
    test = "bench-units"
    context.say(f"inserting {UNITS * UNIT_CALLS:,} calls of {UNITS:,} units")
    clickhouse.command(_CALLS_SQL.format(test=test, calls=UNITS * UNIT_CALLS, units=UNITS))
    units = AbUnits(clickhouse)
    taken = []
    for _ in range(max(3, context.rounds) + 1):
        began = time.perf_counter()
        sums = units.sums("bench", test, "quality")
        arms = [clusters.moments(sums[arm]) for arm in ("a", "b")]
        one, other = (arm for arm in arms if not isinstance(arm, NoEstimate))
        tuning = sequential.Tuning(0.05, UNITS)
        sequential.confidence_sequence(means.difference(one, other), tuning)
        taken.append((time.perf_counter() - began) * 1000)
        if one.n + other.n != UNITS:
            raise RuntimeError(f"{one.n + other.n} units were analysed, not {UNITS}")
    clickhouse.close()
    # The first run reads from disk.
    return median(taken[1:])


def _median(once: Callable[[], float], rounds: int) -> float:
    return median([once() for _ in range(max(3, rounds))])


_CALLS_SQL = """
INSERT INTO rheostat.inference_events
    (event_id, occurred_at, org_id, model_id, model_version, capability, ab_test_id, arm, unit_id,
     latency_ms, input_tokens, output_tokens, cached_input_tokens, quality, src_partition,
     src_offset)
SELECT
    toString(number), now64(3) - toIntervalMillisecond(number % 3600000), 'bench',
    concat('model-', toString(number % 2)), '1', 'chat', '{test}', ['a', 'b'][number % 2 + 1],
    concat('user-', toString(number % {units})),
    100 + rand(1) % 1000, 100, 10, 0, (rand(2) % 1000) / 1000, 0, number
FROM numbers({calls})
"""
