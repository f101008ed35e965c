"""The selector's book: what makes it publish."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agents.book import Message
from agents.policy.selection import HEARTBEAT_S, NUMBERS_EVERY_S
from agents.selector import Selector
from schemas.entities import Model, SelectionPolicy
from tests.support.events import NOW_MS, case_result
from tests.support.partials import of
from tests.support.runs import snapshot

POLICY = SelectionPolicy("acme", "chat", min_samples=5, fallback=("small",))
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)


@pytest.mark.parametrize(("prior_samples", "publications"), [(0, 0), (100, 1)])
def test_evaluations_are_published_only_where_the_policy_looks_at_them(
    prior_samples: int, publications: int
) -> None:
    registry = snapshot(
        Model("acme", "small", "1", "us", ("chat",)), replace(POLICY, prior_samples=prior_samples)
    )
    selector = Selector(lambda: registry)
    selector.apply(_evaluated(0), NOW)
    assert selector.decide(NOW)
    soon = NOW + timedelta(seconds=(NUMBERS_EVERY_S + HEARTBEAT_S) / 2)
    assert selector.apply(_evaluated(1), soon), "it is stored in either case"
    assert selector.unsaved(0)
    assert len(selector.decide(soon)) == publications


def _evaluated(offset: int) -> Message:
    return Message(0, offset, of([case_result(case_id=f"case-{offset}")] * 8, "case-results"))
