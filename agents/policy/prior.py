"""What evaluations say of a model, as a prior of what it does in production.

Tallies add up, so a prior is a tally that is scaled down to weigh at most so many calls: its means
stay, its errors widen to those of as many calls. It counts like calls everywhere: in the score, in
the constraints, in min_samples.
"""

from collections.abc import Mapping, Sequence

from agents.policy.contributions import ModelKey
from agents.policy.selection import Question
from agents.policy.sums import Sums, Tally
from schemas.entities import Model, SelectionPolicy

LENGTH_MS = 30 * 86_400_000
"""How long evaluations are remembered, in event time."""


def question(
    ruled: tuple[int, SelectionPolicy],
    models: Sequence[Model],
    production: Mapping[ModelKey, Tally],
    evaluations: Mapping[ModelKey, Tally],
) -> Question:
    """What is asked under a policy of this version, of models with these measurements."""
    version, policy = ruled
    tallies, priors = with_priors(production, evaluations, policy.prior_samples)
    return Question(policy, version, models, tallies, priors)


def weighed(tally: Tally, most: int) -> Tally:
    """The tally as if of `most` calls, if it is of more. Rounded to whole calls."""
    if tally.events <= most:
        return tally
    share = most, tally.events
    return Tally(
        most,
        _part(tally.errors, share),
        _sums(tally.latency_ms, share),
        _sums(tally.cost_usd, share),
        _sums(tally.quality, share),
        {key: part for key, count in tally.bins.items() if (part := _part(count, share))},
    )


def with_priors(
    production: Mapping[ModelKey, Tally], evaluations: Mapping[ModelKey, Tally], most: int
) -> tuple[Mapping[ModelKey, Tally], Mapping[ModelKey, int]]:
    """(tallies of both, how many calls of each are a prior). `most` 0: production alone."""
    if not most or not evaluations:
        return production, {}
    both, counted = dict(production), {}
    for key, tally in evaluations.items():
        prior = weighed(tally, most)
        if not prior.events:
            continue
        total = Tally()
        total.add(production.get(key, Tally()))
        total.add(prior)
        both[key], counted[key] = total, prior.events
    return both, counted


def _part(count: int, share: tuple[int, int]) -> int:
    """count * share, rounded to the nearest, halves up."""
    most, of = share
    return (2 * count * most + of) // (2 * of)


def _sums(sums: Sums, share: tuple[int, int]) -> Sums:
    n = _part(sums.n, share)
    if not n:
        return Sums()
    return Sums(n, sums.total * n // sums.n, sums.total_sq * n // sums.n)
