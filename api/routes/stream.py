"""Verdicts and selections as server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from sse_starlette import EventSourceResponse, ServerSentEvent

from api.access import Org, TheServices
from api.live import QUEUE_MAX, Kind, Live, Reader, Wish, offsets_of
from api.problems import invalid, unavailable
from schemas.types import Capability, Name

router = APIRouter(tags=["stream"])
HEARTBEAT_S = 15
SEND_TIMEOUT_S = 30.0
RETRY_MS = 3_000
EXAMPLE = (
    "id: czA6NDI\r\nevent: selection\r\ndata: "
    '{"selection_id":"7f3c","org_id":"acme","capability":"chat"}\r\n\r\n: still here\r\n\r\n'
)


@router.get(
    "/stream/",
    summary="Verdicts and selections as they come",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {"example": EXAMPLE}}}},
)
async def stream(
    org_id: Org,
    held: TheServices,
    kind: Annotated[list[Kind] | None, Query(description="Without it both.")] = None,
    capability: Annotated[list[Capability] | None, Query(max_length=100)] = None,
    ab_test_id: Annotated[list[Name] | None, Query(max_length=100)] = None,
    last_event_id: Annotated[str | None, Header(max_length=4096)] = None,
) -> EventSourceResponse:
    """Events `verdict` and `selection`: first what stands now, then every change as it comes.

    Reconnect with the Last-Event-ID, to any process of the API: you get what is newest now and was
    not then. Comments come every 15 s. Who does not read for long gets the event `too-slow` and is
    disconnected; reconnecting loses nothing that is newest.
    """
    live = held.live
    if live is None:
        raise unavailable("this process does not follow what is decided", 60)
    live.check()
    try:
        offsets = {} if last_event_id is None else offsets_of(last_event_id)
    except ValueError as error:
        raise invalid("last-event-id", str(error)) from error
    wish = Wish(
        org_id,
        frozenset(kind or ("verdict", "selection")),
        frozenset(capability or ()),
        frozenset(ab_test_id or ()),
    )
    return EventSourceResponse(
        events(live, live.join(wish, offsets)),
        ping=HEARTBEAT_S,
        ping_message_factory=lambda: ServerSentEvent(comment="still here"),
        send_timeout=SEND_TIMEOUT_S,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def events(live: Live, reader: Reader) -> AsyncIterator[ServerSentEvent]:
    """A reader's events until it leaves or is too slow."""
    overflowed = asyncio.ensure_future(reader.overflowed.wait())
    try:
        yield ServerSentEvent(comment="following", retry=RETRY_MS)
        while not reader.overflowed.is_set():
            coming = asyncio.ensure_future(reader.queue.get())
            await asyncio.wait({coming, overflowed}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                coming.cancel()
                break
            happened = coming.result()
            yield ServerSentEvent(happened.data, event=happened.kind, id=reader.advance(happened))
        text = f"more than {QUEUE_MAX} events waited: reconnect with your Last-Event-ID"
        yield ServerSentEvent(f'{{"reason":"{text}"}}', event="too-slow")
    finally:
        overflowed.cancel()
        live.leave(reader)
