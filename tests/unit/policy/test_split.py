"""Traffic against its weights: late events of a slow arm are no mismatch, a mismatch is found."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agents.policy.split import GRACE_MAX_MS, KEPT_MS, Split
from agents.policy.trial import Trial, add, dump_trial, load_trial
from agents.policy.verdicts import judge
from schemas.entities import AbTest, Arm
from streams.partials import PANE_MS
from tests.support.trials import TEST, calls, rows

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BEGIN_S = 1_780_000_000
TILTED = replace(TEST, arms=(Arm("a", "small", 9), Arm("b", "large", 1)))


@dataclass(frozen=True)
class Traffic:
    """300 calls a second from `from_s` to `until_s`, split by `shares`; events come after latency.

    `ahead`: this share of the producers has a clock that is `ahead_s` fast.
    """

    shares: Mapping[str, float]
    latency_s: Mapping[str, float]
    until_s: int
    from_s: int = 0
    ahead: float = 0.0
    ahead_s: int = 0

    def arriving(self, seed: int = 1) -> Mapping[int, list[dict[str, Any]]]:
        """Calls by the second in which their events arrive."""
        rng = random.Random(seed)
        found: dict[int, list[dict[str, Any]]] = {}
        for second in range(self.from_s, self.until_s):
            arms = rng.choices(list(self.shares), list(self.shares.values()), k=300)
            for arm, latency_s in self.latency_s.items():
                count = arms.count(arm)
                fast = round(count * self.ahead)
                for n, shift_s in ((count - fast, 0), (fast, self.ahead_s)):
                    if n:
                        at = {"at_s": BEGIN_S + second + shift_s}
                        timed = calls(arm, n, latency_ms=[latency_s * 1000] * n)
                        arrival = found.setdefault(second + round(latency_s), [])
                        arrival += [{**call, **at} for call in timed]
        return found


def looks(
    traffic: Sequence[Traffic],
    test: AbTest = TEST,
    trial: Trial | None = None,
    seconds: range = range(10**6),
) -> Iterator[tuple[int, Trial, str]]:
    """(second, trial, status), looked at every second of `seconds`."""
    trial = trial or Trial()
    streams = [some.arriving(seed) for seed, some in enumerate(traffic)]
    for second in sorted({s for stream in streams for s in stream if s in seconds}):
        for stream in streams:
            if second in stream:
                trial = add(trial, test, rows(stream[second]))
        trial, verdict = judge(trial, test, NOW)
        yield second, trial, verdict.status


EQUAL = {"a": 0.5, "b": 0.5}
SLOW = {"a": 1.0, "b": 30.0}


@pytest.mark.parametrize("slow_s", [10, 30, 100, 200])
def test_a_slow_arm_is_no_mismatch_at_the_beginning_nor_at_the_end(slow_s: int) -> None:
    traffic = Traffic(EQUAL, {"a": 1.0, "b": float(slow_s)}, until_s=200 + 2 * slow_s)
    found = list(looks([traffic]))
    assert {status for _, _, status in found} == {"collecting"}
    last = found[-1][1].split.complete()
    assert all(count > 1000 for count in last.values()), "nothing was compared"


@pytest.mark.parametrize(
    ("shares", "latest_s"),
    [
        ({"a": 0.6, "b": 0.4}, 60 + 10 + 10),
        ({"a": 0.52, "b": 0.48}, 60 + 10 + 60),
        ({"a": 1.0, "b": 0.0}, 300 + 10 + 10),
    ],
    ids=["skewed", "slightly", "one arm only"],
)
def test_a_broken_split_is_found_a_grace_later(shares: dict[str, float], latest_s: int) -> None:
    found = looks([Traffic(shares, SLOW, until_s=400)])
    first = next(second for second, _, status in found if status == "invalid")
    assert first <= latest_s


def test_an_arm_that_turns_slow_is_no_mismatch() -> None:
    """Its events stop for four minutes: no sign of how slow it has become."""
    before = Traffic(EQUAL, {"a": 1.0, "b": 1.0}, until_s=120)
    after = Traffic(EQUAL, {"a": 1.0, "b": 240.0}, until_s=500, from_s=120)
    assert {status for _, _, status in looks([before, after])} == {"collecting"}


def test_clocks_that_are_ahead_do_not_make_time_pass() -> None:
    traffic = Traffic(EQUAL, SLOW, until_s=200, ahead=0.05, ahead_s=250)
    assert {status for _, _, status in looks([traffic])} == {"collecting"}


def test_what_comes_after_its_pane_was_added_up_still_enters() -> None:
    split = Split().under((("a", 1.0), ("b", 1.0)), 0).add({0: {"a": 50}}, 1000.0)
    later = split.add({10 * KEPT_MS: {"a": 1, "b": 1}}, 1000.0)
    assert 0 not in later.panes
    assert later.add({0: {"b": 50}}, 1000.0).complete() == {"a": 50, "b": 50}


def test_panes_that_are_kept_are_bounded() -> None:
    split = Split().under((("a", 1.0), ("b", 1.0)), 0)
    for i in range(1000):
        split = split.add({i * PANE_MS: {"a": 1, "b": 1}}, 0.0)
        assert len(split.panes) <= KEPT_MS // PANE_MS
    done = 999 - GRACE_MAX_MS // PANE_MS
    assert split.add({0: {}}, 1e12).complete() == {"a": done, "b": done}


def test_slow_calls_under_way_at_a_change_of_weights_are_no_mismatch() -> None:
    before = Traffic(EQUAL, SLOW, until_s=200)
    *_, (_, trial, _) = looks([before], seconds=range(200))
    tilted = Traffic({"a": 0.9, "b": 0.1}, SLOW, from_s=205, until_s=500)
    mixed = Traffic(EQUAL, SLOW, from_s=200, until_s=205)
    found = list(looks([before, mixed, tilted], TILTED, trial, range(200, 600)))
    assert {status for _, _, status in found} == {"collecting"}
    assert found[-1][1].split.complete()["b"] > 1000


def test_slow_calls_under_way_at_a_pause_are_no_mismatch() -> None:
    """The calls that end while the test is paused are not taken in."""
    before = Traffic(EQUAL, SLOW, until_s=200)
    *_, (_, trial, _) = looks([before], seconds=range(200))
    trial, _ = judge(trial, replace(TEST, status="paused"), NOW)
    trial = load_trial(dump_trial(trial))
    meanwhile = Traffic(EQUAL, SLOW, from_s=200, until_s=250)
    after = Traffic(EQUAL, SLOW, from_s=250, until_s=550)
    found = list(looks([before, meanwhile, after], TEST, trial, range(250, 600)))
    assert {status for _, _, status in found} == {"collecting"}
    assert found[-1][1].split.complete()["b"] > 1000


def test_a_mismatch_after_a_change_of_weights_is_found() -> None:
    *_, (_, trial, status) = looks([Traffic(EQUAL, SLOW, until_s=100)])
    assert status == "collecting"
    wrong = Traffic(EQUAL, SLOW, from_s=200, until_s=400)
    assert "invalid" in {status for _, _, status in looks([wrong], TILTED, trial)}


def test_a_state_survives_its_dump_and_older_dumps_load() -> None:
    *_, (_, trial, _) = looks([Traffic(EQUAL, SLOW, until_s=100)])
    dumped = json.loads(json.dumps(dump_trial(trial)))
    assert load_trial(dumped) == trial
    old = {key: dumped["split"][key] for key in ("weights", "carried")}
    old["counts"] = {"a": 1000, "b": 1000}
    loaded = load_trial({**dumped, "split": old})
    assert loaded.split.complete() == {"a": 1000, "b": 1000}
    later = add(loaded, TEST, rows(calls("a", 5), BEGIN_S))
    assert judge(later, TEST, NOW)[1].srm_p_value == 1.0
