"""How long a call waits, on real sockets."""

import asyncio
from collections.abc import Sequence

import pytest

from agents.evaluation.runner.adapters import adapters
from agents.evaluation.runner.adapters.base import Question
from agents.evaluation.runner.call import Called, Caller, Timeouts, new_session
from agents.evaluation.runner.failures import CallFailed
from schemas.suites import PromptMessage

pytestmark = pytest.mark.integration
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
PING = b": ping\n\n"
FIRST = b'data: {"choices": [{"delta": {"content": "Par"}}]}\n\n'
REST = b'data: {"choices": [{"delta": {"content": "is"}, "finish_reason": "stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
PAUSE_S = 0.8


async def called(pieces: Sequence[bytes], timeouts: Timeouts) -> Called:
    """An answer that comes in these pieces, PAUSE_S apart."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(PAUSE_S)
        writer.close()
        left.set()

    left = asyncio.Event()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    adapter = adapters()["openai-chat"]
    question = Question(f"http://127.0.0.1:{port}/v1", "m", (PromptMessage("user", "?"),), {})
    async with server, new_session(timeouts) as session:
        try:
            return await Caller(session, timeouts).call(adapter, adapter.request(question), None)
        finally:
            await left.wait()


async def test_a_prompt_that_is_read_after_the_head_was_sent_has_the_time_of_a_first_byte() -> None:
    patient = Timeouts(first_byte_s=20, idle_s=0.2)
    answer = (await called([HEAD, FIRST + REST + DONE], patient)).answer
    assert (answer.text, answer.finish_reason) == ("Paris", "stop")


async def test_pings_keep_a_call_alive_until_its_answer_begins() -> None:
    patient = Timeouts(first_byte_s=3 * PAUSE_S, idle_s=0.2)
    pieces = [HEAD, PING, PING, PING, FIRST + REST + DONE]
    assert (await called(pieces, patient)).answer.text == "Paris"


async def test_an_answer_that_has_begun_may_not_pause_as_long() -> None:
    with pytest.raises(CallFailed, match=r"then nothing for 0\.2 s") as caught:
        await called([HEAD + FIRST, REST + DONE], Timeouts(first_byte_s=20, idle_s=0.2))
    assert caught.value.error_type == "timeout"


async def test_a_head_without_an_answer_is_not_waited_for_for_ever() -> None:
    with pytest.raises(CallFailed, match=r"then nothing for 0\.3 s") as caught:
        await called([HEAD, b"", b""], Timeouts(first_byte_s=0.3, idle_s=20))
    assert caught.value.error_type == "timeout"
