"""Where Faust's consumer goes back to, when it throws away what it fetched."""

from dataclasses import dataclass, field

from faust.types import TP

from agents.transport import CommittedReadsThread

COMMITTED, NEVER, AT_ZERO = TP("partials", 0), TP("partials", 1), TP("partials", 2)


@dataclass
class Client:
    """aiokafka's consumer: it seeks where an offset above 0 is committed, and nowhere else."""

    begun: list[TP] = field(default_factory=list)

    async def seek_to_committed(self) -> dict[TP, int | None]:
        return {COMMITTED: 5, NEVER: None, AT_ZERO: 0}

    async def seek_to_beginning(self, *places: TP) -> None:
        self.begun += places


class Thread(CommittedReadsThread):
    """One without its client's thread."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def _ensure_consumer(self) -> Client:
        return self._client


async def test_a_partition_without_a_committed_offset_is_read_from_its_beginning_again() -> None:
    """Else the records that were thrown away while a rebalance held the flow are never seen."""
    client = Client()
    committed = await Thread(client)._seek_to_committed()
    assert client.begun == [NEVER, AT_ZERO]
    assert committed == {COMMITTED: 5, NEVER: None, AT_ZERO: 0}


async def test_nothing_more_is_sought_when_every_partition_has_one() -> None:
    client = Client()

    async def committed() -> dict[TP, int | None]:
        return {COMMITTED: 5}

    client.seek_to_committed = committed  # type: ignore[method-assign]
    await Thread(client)._seek_to_committed()
    assert client.begun == []
