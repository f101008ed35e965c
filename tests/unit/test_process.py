"""When a child may be started again."""

from infra.process import Backoff, scaled


def deaths(lives_s: list[float]) -> list[float]:
    """Waits after children that lived so long, one after the other."""
    backoff, now_s, waits = Backoff(), 1000.0, []
    for life_s in lives_s:
        started_s = now_s
        now_s += life_s
        backoff = backoff.died(started_s, now_s)
        assert not backoff.may_start(backoff.start_at_s - 0.01)
        assert backoff.may_start(backoff.start_at_s)
        waits.append(backoff.start_at_s - now_s)
        now_s = backoff.start_at_s
    return waits


def test_the_first_start_is_at_once() -> None:
    assert Backoff().may_start(0.0)


def test_waits_double_up_to_half_a_minute() -> None:
    assert deaths([0.1] * 9) == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_minute_of_life_forgets_earlier_failures() -> None:
    assert deaths([0.1, 0.1, 0.1, 61.0, 0.1]) == [0.5, 1, 2, 0.5, 1]
    assert deaths([0.1, 0.1, 59.0]) == [0.5, 1, 2]


def test_names_of_several() -> None:
    assert scaled("streams", 1) == ["streams"]
    assert scaled("streams", 3) == ["streams", "streams-2", "streams-3"]
