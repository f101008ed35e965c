"""What results come to: intervals by cluster, slices, missing scores, labels, agreement."""

import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.inter_rater import cohens_kappa

from agents.evaluation.aggregate import Slice, Summary, summaries
from agents.evaluation.agreement import Weights, agreement
from agents.evaluation.confusion import confusion, of_scores
from agents.evaluation.intervals import Interval, NoInterval, mean_interval
from agents.evaluation.judged_means import judged_mean
from schemas.evaluations import CaseResult, Score
from streams.statistics.estimates import NoEstimate


def result(
    case_id: str,
    value: float | None = 1.0,
    *,
    passed: bool | None = True,
    epoch: int = 0,
    cluster: str | None = None,
    split: str = "",
    tags: tuple[str, ...] = (),
) -> CaseResult:
    return CaseResult(
        run_id="run",
        case_id=case_id,
        epoch=epoch,
        occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
        org_id="acme",
        model_id="m",
        model_version="1",
        capability="qa",
        ab_test_id=None,
        arm=None,
        suite_id="s",
        suite_version="1",
        latency_ms=1.0,
        ttft_ms=None,
        input_tokens=1,
        output_tokens=1,
        cached_input_tokens=0,
        cost_usd=None,
        error_type=None,
        passed=passed,
        output="x",
        scores=(Score("f1", "f1", "1", value),),
        score=value,
        split=split,
        tags=tags,
        cluster=cluster,
    )


def pick(found: tuple[Summary, ...], metric: str, part: Slice = Slice()) -> Summary:  # noqa: B008
    (one,) = [s for s in found if s.metric == metric and s.slice == part]
    return one


def test_independent_cases_have_the_ordinary_interval() -> None:
    values = [0.1, 0.5, 0.6, 0.9, 0.3]
    found = pick(summaries([result(str(i), v) for i, v in enumerate(values)]), "f1")
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert isinstance(found.mean, Interval)
    assert (found.cases, found.missing, found.clusters) == (5, 0, 5)
    assert found.mean.value == pytest.approx(np.mean(values))
    assert [found.mean.lower, found.mean.upper] == pytest.approx([low, high])


def test_copies_within_a_cluster_do_not_make_it_more_exact() -> None:
    values = [0.1, 0.5, 0.6, 0.9, 0.3]
    alone = mean_interval(values, range(5), 0.05)
    copied = mean_interval(values * 10, list(range(5)) * 10, 0.05)
    naive = mean_interval(values * 10, range(50), 0.05)
    assert isinstance(alone, Interval)
    assert isinstance(copied, Interval)
    assert isinstance(naive, Interval)
    assert copied.upper == pytest.approx(alone.upper)
    assert naive.upper - naive.lower < 0.5 * (copied.upper - copied.lower)
    by_case = summaries([result(f"{i}", v, cluster=f"c{i % 5}") for i, v in enumerate(values * 10)])
    assert pick(by_case, "f1").mean == copied
    assert pick(by_case, "f1").clusters == 5


def test_pass_rates_have_wilsons_interval_even_at_the_ends() -> None:
    some = pick(summaries([result(str(i), passed=i < 7) for i in range(10)]), "pass_rate").mean
    assert isinstance(some, Interval)
    # R: prop.test(7, 10, correct = FALSE)$conf.int
    assert [some.lower, some.upper] == pytest.approx([0.39677815, 0.89220873])
    every = pick(summaries([result(str(i)) for i in range(10)]), "pass_rate").mean
    assert isinstance(every, Interval)
    assert every.value == 1.0
    assert every.lower == pytest.approx(0.72246715)
    clustered = [result(str(i), cluster=str(i % 2)) for i in range(10)]
    fewer = pick(summaries(clustered), "pass_rate").mean
    assert isinstance(fewer, Interval)
    assert fewer.lower < every.lower


def test_missing_scores_are_counted_and_not_averaged() -> None:
    found = summaries([result("a", 0.5), result("b", 0.7), result("c", None, passed=None)])
    f1, passed = pick(found, "f1"), pick(found, "pass_rate")
    assert (f1.cases, f1.missing, passed.cases, passed.missing) == (2, 1, 2, 1)
    assert isinstance(f1.mean, Interval)
    assert f1.mean.value == pytest.approx(0.6)
    nothing = pick(summaries([result("a", None, passed=None)]), "score")
    assert nothing.mean == NoEstimate("no values")
    one = pick(summaries([result("a", 0.5)]), "f1")
    assert isinstance(one.mean, NoInterval)
    assert one.mean.value == 0.5


def test_epochs_are_reduced_before_cases_are_averaged() -> None:
    results = [result("a", float(e == 0), passed=e == 0, epoch=e) for e in range(4)]
    results += [result("b", 1.0, epoch=e) for e in range(4)]
    assert pick(summaries(results), "pass_rate").cases == 2
    mean = pick(summaries(results), "f1").mean
    assert isinstance(mean, Interval)
    assert mean.value == pytest.approx((0.25 + 1) / 2)
    at_2 = pick(summaries(results, "pass_at_k", 2), "pass_rate").mean
    all_2 = pick(summaries(results, "pass_k", 2), "pass_rate").mean
    assert isinstance(at_2, Interval)
    assert isinstance(all_2, Interval)
    assert [at_2.value, all_2.value] == pytest.approx([0.75, 0.5])


def test_slices_and_models_are_apart() -> None:
    results = [
        result("a", 0.2, split="test", tags=("hard", "math")),
        result("b", 0.4, split="test", tags=("hard",)),
        result("c", 0.9, split="train"),
    ]
    results += [replace(r, model_id="n", score=1.0) for r in results]
    found = summaries(results)
    assert [s.slice for s in found if s.model_id == "n" and s.metric == "score"] == [
        Slice(),
        Slice("split", "test"),
        Slice("split", "train"),
        Slice("tag", "hard"),
        Slice("tag", "math"),
    ]
    hard = [s for s in found if s.model_id == "m" and s.slice == Slice("tag", "hard")]
    assert [(s.metric, s.cases) for s in hard] == [("f1", 2), ("score", 2), ("pass_rate", 2)]


def test_confusion_by_hand() -> None:
    pairs = [("cat", "cat")] * 3 + [("cat", "dog")] + [("dog", "dog")] * 2 + [("dog", None)]
    found = confusion(pairs)
    assert found.labels == ("cat", "dog")
    assert found.counts == ((3, 1), (0, 2))
    assert found.unknown == (0, 1)
    assert found.accuracy == pytest.approx(5 / 7)
    cat, dog = found.rates()
    assert [cat.precision, cat.recall, cat.f1] == pytest.approx([1.0, 0.75, 6 / 7])
    assert [dog.precision, dog.recall] == pytest.approx([2 / 3, 2 / 3])
    assert found.macro_f1 == pytest.approx((6 / 7 + 2 / 3) / 2)
    assert isinstance(confusion([]).accuracy, NoEstimate)
    assert isinstance(confusion([]).macro_f1, NoEstimate)


def test_confusion_from_stored_scores() -> None:
    scores = [
        Score("label", "classification", "1", 0.0, "cat → dog"),
        Score("label", "classification", "1", 0.0, "cat → ?"),
        Score("f1", "f1", "1", 1.0, "cat → cat"),
        Score("label", "classification", "1", None, None, "absent"),
    ]
    assert of_scores(scores).total == 2


TABLE = np.array([[20, 5, 1], [10, 15, 4], [2, 3, 12]])


@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
def test_kappa_is_that_of_statsmodels(weights: Weights) -> None:
    judged = [i for i in range(3) for j in range(3) for _ in range(TABLE[i, j])]
    human = [j for i in range(3) for j in range(3) for _ in range(TABLE[i, j])]
    found = agreement(judged, human, [0, 1, 2], weights)
    other = cohens_kappa(TABLE, wt=None if weights == "none" else weights)
    assert not isinstance(found, NoEstimate)
    assert isinstance(found.kappa, Interval)
    assert found.rate.value == pytest.approx(47 / 72)
    assert found.kappa.value == pytest.approx(other.kappa)
    assert found.kappa.lower == pytest.approx(other.kappa - 1.959964 * other.std_kappa, abs=1e-6)


def test_agreement_that_cannot_be_told() -> None:
    assert isinstance(agreement([], [], [0, 1]), NoEstimate)
    same = agreement([1, 1], [1, 1], [0, 1])
    assert not isinstance(same, NoEstimate)
    assert isinstance(same.kappa, NoEstimate)
    perfect = agreement([0, 1], [0, 1], [0, 1])
    assert not isinstance(perfect, NoEstimate)
    assert isinstance(perfect.kappa, NoInterval)
    with pytest.raises(ValueError, match="not in the order: 2"):
        agreement([2], [1], [0, 1])
    with pytest.raises(ValueError, match="one label each"):
        agreement([1], [], [0, 1])


def test_the_judged_mean_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    covered, widths, human_widths, judge_misses = 0, [], [], 0
    for _ in range(400):
        truth = rng.normal(0.6, 0.2, 600)
        judge = truth + 0.15 + rng.normal(0, 0.05, 600)  # far too kind
        found = judged_mean(list(truth[:60]), list(judge[:60]), list(judge[60:]))
        assert isinstance(found, Interval)
        covered += found.lower <= 0.6 <= found.upper
        widths.append(found.upper - found.lower)
        human_widths.append(2 * 1.96 * truth[:60].std(ddof=1) / math.sqrt(60))
        judge_misses += abs(judge.mean() - 0.6) > 0.1
    assert 0.91 <= covered / 400 <= 0.985
    assert np.mean(widths) < 0.6 * np.mean(human_widths)
    assert judge_misses == 400


def test_a_useless_judge_leaves_peoples_mean() -> None:
    rng = np.random.default_rng(3)
    human = list(rng.normal(0.5, 0.1, 50))
    found = judged_mean(human, [0.9] * 50, [0.9] * 500)
    assert isinstance(found, Interval)
    assert found.value == pytest.approx(np.mean(human))
    assert judged_mean(human, [0.9] * 50, []) == found


def test_judged_means_that_cannot_be_told() -> None:
    assert isinstance(judged_mean([], [], [0.5]), NoEstimate)
    assert isinstance(judged_mean([0.5] * 3, [0.4] * 3, [0.4]), NoInterval)
    assert isinstance(judged_mean([0.5] * 20, [0.4] * 20, [0.4]), NoInterval)
    assert isinstance(judged_mean([math.nan], [0.4], [0.4]), NoEstimate)
    with pytest.raises(ValueError, match="one score each"):
        judged_mean([0.5], [], [0.4])
