"""Work beside a block: it ends with the block, and its failure is not lost."""

import threading

import pytest

from infra.demo.background import background


def test_the_work_is_told_to_stop_when_the_block_ends() -> None:
    ended = threading.Event()

    def work(stop: threading.Event) -> None:
        stop.wait(30)
        ended.set()

    with background("work", work) as task:
        assert not task.done
    assert ended.is_set()
    assert task.done


def test_a_failure_is_raised_at_the_end_of_the_block() -> None:
    def work(_: threading.Event) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"), background("work", work):
        pass


def test_the_block_s_own_error_comes_first() -> None:
    def work(_: threading.Event) -> None:
        raise ValueError("broken")

    with pytest.raises(KeyError), background("work", work):
        raise KeyError("first")
