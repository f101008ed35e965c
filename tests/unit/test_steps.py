"""Steps between servers and workers: repeated while a server is away, and nothing is swallowed."""

import pytest

from infra.errors import NotReachable, OperatorError
from infra.steps import Step, StepRun
from tests.support.servers import wait_until


def drive(run: StepRun, from_s: float = 0.0) -> float:
    """Advances with a clock of our own until done; the time at the end."""
    now_s = from_s

    def turn() -> bool:
        nonlocal now_s
        now_s += 0.1
        run.advance(now_s)
        return run.done

    wait_until(turn, 30)
    return now_s


def test_a_server_that_is_away_is_tried_again_later_and_later() -> None:
    tries: list[int] = []

    def action() -> None:
        tries.append(1)
        if len(tries) < 4:
            raise NotReachable("ClickHouse does not answer.")

    run = StepRun(Step("migrate", (), action))
    assert drive(run) > 0.5 + 1 + 2
    assert len(tries) == 4


def test_any_other_error_reaches_the_owner() -> None:
    def action() -> None:
        raise OperatorError("ClickHouse refuses the user.")

    with pytest.raises(OperatorError, match="refuses the user"):
        drive(StepRun(Step("migrate", (), action)))


def test_a_step_that_is_done_is_not_done_again() -> None:
    tries: list[int] = []
    run = StepRun(Step("topics", (), lambda: tries.append(1)))
    end_s = drive(run)
    run.advance(end_s + 100)
    assert len(tries) == 1
