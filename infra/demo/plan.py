"""What will be sent and when, before any model is chosen. Pure: the same seed, the same plan.

Arrivals and tokens come from the trace; each request is given the next question of a shuffle of all
of them (and of another shuffle when they run out). Malformed records come on top.
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infra.demo.dataset import Arrival, Question
from infra.demo.malformed import Malformation

MALFORMED_EVERY = 60
"""One malformed record after so many requests."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request that a model will serve. Every request is a unit of its own."""

    number: int
    at_ms: int
    input_tokens: int
    output_tokens: int
    question: Question

    @property
    def unit_id(self) -> str:
        return f"request-{self.number:05d}"

    @property
    def capability(self) -> str:
        return self.question.subject


@dataclass(frozen=True, slots=True)
class Broken:
    """A record that cannot be counted, and how it is broken. `victim`: what it was made from."""

    at_ms: int
    kind: Malformation
    victim: Request


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything to send, in order of time. `span_ms`: time of the trace from first to last."""

    items: tuple[Request | Broken, ...]
    span_ms: int

    @property
    def requests(self) -> int:
        return sum(isinstance(item, Request) for item in self.items)

    @property
    def broken(self) -> int:
        return len(self.items) - self.requests


def plan(
    arrivals: Sequence[Arrival], questions: Sequence[Question], seed: int, limit: int | None = None
) -> Plan:
    """The plan over the first `limit` arrivals (all by default); at least one is needed."""
    taken = arrivals[:limit]
    asked = _shuffled_forever(questions, random.Random(f"questions {seed}"))
    kinds = itertools.cycle(Malformation)
    items: list[Request | Broken] = []
    for number, (arrival, question) in enumerate(zip(taken, asked, strict=False)):
        tokens = (arrival.input_tokens, arrival.output_tokens)
        request = Request(number, arrival.at_ms, *tokens, question)
        items.append(request)
        if (number + 1) % MALFORMED_EVERY == 0:
            items.append(Broken(arrival.at_ms, next(kinds), request))
    return Plan(tuple(items), taken[-1].at_ms)


def _shuffled_forever(questions: Sequence[Question], rng: random.Random) -> Iterator[Question]:
    while True:
        yield from rng.sample(questions, len(questions))
