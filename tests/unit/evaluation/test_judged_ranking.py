"""Models ranked by pairwise judgements against a reference: strengths, ties and gaps by hand."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from rich.console import Console

from agents.evaluation.judged_ranking import JudgedRanking, judged_rankings
from agents.evaluation.plain import plain_report
from agents.evaluation.report import Report
from infra.evaluation_ranking import ranking
from infra.evaluation_show import show
from schemas.evaluations import CaseResult, Score
from schemas.suites import ScorerUse
from streams.statistics.ranking import ELO_PER_UNIT
from tests.support.runs import SUITE, Bench, result

BENCH = Bench()
BENCH.started()
BLANK = result(BENCH.cases[0])
LABEL = {1.0: "win", 0.75: "win", 0.5: "tie", 0.25: "loss", 0.0: "loss"}


def judged(
    model: str, values: Sequence[float], label: str | None = None, **changes: object
) -> list[CaseResult]:
    """A judgement of each case, as the pairwise judge stores it."""
    found = []
    for i, value in enumerate(values):
        score = Score("llm_judge", "llm_judge", "1", value, label or LABEL[value])
        case = replace(BLANK, case_id=f"c{i}", model_id=model, scores=(score,))
        found.append(replace(case, **changes))  # type: ignore[arg-type]
    return found


STRONG = judged("strong", [1.0] * 30 + [0.0] * 10)
EQUAL = judged("equal", [1.0] * 15 + [0.5] * 10 + [0.0] * 15)


def only(results: Sequence[CaseResult]) -> JudgedRanking:
    (found,) = judged_rankings(results, None)
    return found


def test_strengths_against_the_reference_are_the_log_odds_of_points() -> None:
    """30 of 40 points: log 3 above the reference; 20 of 40: level with it."""
    found = only([*EQUAL, *STRONG])
    strong, *others = found.models
    by_name = {each.model_id: each for each in others}
    equal, reference = by_name["equal"], by_name["baseline_answer"]
    assert strong.model_id == "strong"
    assert strong.elo is not None
    assert equal.elo is not None
    assert reference.elo is not None
    assert strong.elo - reference.elo == pytest.approx(ELO_PER_UNIT * math.log(3))
    assert equal.elo == pytest.approx(reference.elo)
    assert strong.elo + equal.elo + reference.elo == pytest.approx(3000)
    # 1.10 apart with an error of sqrt(1/7.5 + 1/10) = 0.48: told apart. The other two: not.
    assert (strong.rank, equal.rank, reference.rank) == (1, 2, 2)
    assert (equal.wins, equal.ties, equal.losses, equal.share) == (15, 10, 15, 0.5)
    assert (reference.wins, reference.ties, reference.losses) == (25, 10, 45)
    assert (reference.model_version, reference.judged, reference.share) == (None, 80, 30 / 80)
    assert found.why_none is None


def test_few_judgements_tell_nobody_apart() -> None:
    found = only([*judged("a", [1.0] * 3 + [0.0]), *judged("b", [1.0, 0.0])])
    assert {each.rank for each in found.models} == {1}


def test_epochs_of_a_case_are_one_judgement() -> None:
    again = [replace(each, epoch=1) for each in STRONG]
    assert only([*STRONG, *again, *EQUAL]) == only([*STRONG, *EQUAL])
    # won once and lost once: a tie.
    other = [replace(each, epoch=1) for each in judged("equal", [0.0] * 15)]
    equal = next(m for m in only([*STRONG, *EQUAL, *other]).models if m.model_id == "equal")
    assert (equal.wins, equal.ties, equal.losses) == (0, 25, 15)


def test_who_only_won_or_lost_is_not_ranked_and_does_not_keep_others_from_it() -> None:
    perfect, hopeless = judged("perfect", [1.0] * 5), judged("hopeless", [0.0] * 5)
    found = only([*perfect, *hopeless, *STRONG, *EQUAL])
    ranked = [each.model_id for each in found.models if each.rank is not None]
    assert sorted(ranked) == ["baseline_answer", "equal", "strong"]
    notes = {each.model_id: each.note for each in found.models if each.rank is None}
    assert str(notes["perfect"]).startswith("won every judgement: stronger")
    assert str(notes["hopeless"]).startswith("lost every judgement: weaker")
    nobody = only([*perfect, *hopeless])
    assert all(each.elo is None for each in nobody.models)
    assert "only won or only lost" in str(nobody.why_none)


def test_only_pairwise_judgements_of_two_models_or_more_are_ranked() -> None:
    assert judged_rankings(STRONG, None) == ()
    assert judged_rankings([], None) == ()
    graded = [*judged("a", [1.0], label="5"), *judged("b", [0.0], label="1")]
    assert judged_rankings(graded, None) == ()
    other = Score("f1", "f1", "1", 1.0, "win")
    assert judged_rankings([replace(r, scores=(other,)) for r in graded], None) == ()


def test_the_reference_is_named_as_the_suite_names_it() -> None:
    use = ScorerUse("llm_judge", options='{"model": "j", "mode": "pairwise", "opponent": "gold"}')
    (found,) = judged_rankings([*STRONG, *EQUAL], replace(SUITE, scorers=(use,)))
    assert found.reference == "gold"
    (found,) = judged_rankings([*STRONG, *EQUAL], SUITE)
    assert found.reference == "baseline_answer"


def shown(found: JudgedRanking) -> str:
    console = Console(width=80, record=True)
    for line in ranking(found):
        console.print(line)
    return console.export_text()


def test_the_terminal_shows_ties_and_what_they_rest_on_in_80_columns() -> None:
    unsure = judged("unsure", [0.5] * 4 + [1.0] * 8 + [0.0] * 8)
    score = replace(unsure[0].scores[0], label="inconsistent")
    unsure[0] = replace(unsure[0], scores=(score,))
    text = shown(only([*STRONG, *EQUAL, *unsure, *judged("perfect", [1.0] * 5)]))
    assert max(map(len, text.splitlines())) <= 80
    row = next(line.split() for line in text.splitlines() if line.startswith("strong 1"))
    assert (row[2], row[-2], row[-1]) == ("1", "30/0/10", "75.0%")
    assert "2=" in text
    assert "not distinguishable" in text
    assert "perfect 1: won every judgement" in text
    assert "changed with the order of the answers, and count as ties: 1" in text
    assert "the reference" in text
    assert "by way of it" in " ".join(text.split())


def test_a_report_carries_it_as_data_and_on_the_terminal() -> None:
    found = Report(BENCH.run(), 0, (), (), (), judged_rankings([*STRONG, *EQUAL], None))
    plain = plain_report(found)["rankings"][0]
    assert (plain["metric"], plain["models"][0]["rank"]) == ("llm_judge", 1)
    console = Console(width=80, record=True)
    show(found, console)
    assert "ranking by llm_judge, against baseline_answer" in console.export_text()
