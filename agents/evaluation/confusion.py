"""Accuracy, macro F1 and the confusion matrix of a classifier's answers. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agents.evaluation.scorers.labels import pair
from schemas.evaluations import Score
from streams.statistics.estimates import NoEstimate


@dataclass(frozen=True, slots=True)
class LabelRates:
    """Of one label. `precision` None: it was never given. `support`: cases where it is right."""

    label: str
    precision: float | None
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """`counts[i][j]`: cases whose right label is labels[i] and whose given one is labels[j].

    `unknown[i]`: cases of labels[i] whose answer named no label, or several: wrong, but of no
    column. `labels` are in alphabetical order.
    """

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    unknown: tuple[int, ...]

    @property
    def total(self) -> int:
        """All cases."""
        return sum(map(sum, self.counts)) + sum(self.unknown)

    @property
    def accuracy(self) -> float | NoEstimate:
        """The share of right labels."""
        if not self.total:
            return NoEstimate("no cases")
        return sum(row[i] for i, row in enumerate(self.counts)) / self.total

    def rates(self) -> tuple[LabelRates, ...]:
        """Of each label that is right in some case.

        F1 = 2 TP / (support + given), 0 where it was never hit.
        """
        found = []
        for i, label in enumerate(self.labels):
            support = sum(self.counts[i]) + self.unknown[i]
            if not support:
                continue
            given = sum(row[i] for row in self.counts)
            hits = self.counts[i][i]
            found.append(
                LabelRates(
                    label,
                    hits / given if given else None,
                    hits / support,
                    2 * hits / (support + given),
                    support,
                )
            )
        return tuple(found)

    @property
    def macro_f1(self) -> float | NoEstimate:
        """The mean F1 of the labels that are right in some case, each counting the same."""
        rates = self.rates()
        return sum(r.f1 for r in rates) / len(rates) if rates else NoEstimate("no cases")


def confusion(pairs: Iterable[tuple[str, str | None]]) -> Confusion:
    """From (right, given) of each case; given None: the answer named none."""
    counts = Counter(pairs)
    labels = sorted(
        {right for right, _ in counts} | {given for _, given in counts if given is not None}
    )
    return Confusion(
        tuple(labels),
        tuple(tuple(counts[right, given] for given in labels) for right in labels),
        tuple(counts[right, None] for right in labels),
    )


def of_scores(scores: Sequence[Score]) -> Confusion:
    """From the labels of the `classification` scores among these; others are passed over."""
    pairs = (pair(s.label) for s in scores if s.scorer == "classification")
    return confusion(found for found in pairs if found is not None)
