"""Progress: what it refuses."""

import pytest

from agents.errors import AgentsStopped
from agents.evaluation.runner.progress import WINDOW, Progress, encode


@pytest.mark.parametrize("metadata", ['{"first":1}', "2:AAA=", "1:***"])
def test_foreign_metadata_stops_the_runner(metadata: str) -> None:
    with pytest.raises(AgentsStopped, match="not the runner's"):
        Progress.committed(5, metadata)


def test_an_offset_outside_of_the_window_is_no_commit() -> None:
    with pytest.raises(ValueError, match="is not within"):
        encode(0, [WINDOW + 1])


def test_an_offset_is_delivered_once() -> None:
    progress = Progress(5)
    progress.deliver(5)
    with pytest.raises(ValueError, match="delivered before"):
        progress.deliver(5)
