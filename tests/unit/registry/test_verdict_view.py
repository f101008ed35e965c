"""What a follower of verdicts keeps when a person decides while the monitor publishes."""

from dataclasses import replace

from agents.registry.verdicts import later
from tests.support.verdicts import verdict

DECIDED = replace(
    verdict(100, "decided", "gpt4"), decided_at=verdict(100).as_of, decided_by="key:ann"
)


def test_a_verdict_that_has_not_heard_of_a_persons_decision_does_not_take_it_back() -> None:
    assert later(None, DECIDED) == DECIDED
    assert later(verdict(90), DECIDED) == DECIDED
    assert later(DECIDED, verdict(110)) == DECIDED


def test_the_verdict_that_carries_it_on_and_any_other_newer_one_hold() -> None:
    carried = replace(DECIDED, as_of=verdict(120).as_of)
    assert later(DECIDED, carried) == carried
    assert later(verdict(90), verdict(110)) == verdict(110)
