"""How one call is answered: drawn from the seed and the call, so it can be repeated. Pure."""

import hashlib
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.scripted_endpoint.script import Answer, Fault, Rule, Script


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came. `style`: openai-chat, openai-completions or anthropic-messages."""

    style: str
    model: str
    prompt: str
    stream: bool = False
    usage: bool = True

    @property
    def key(self) -> str:
        """What calls are counted by."""
        return f"{self.model}\n{self.prompt}"


@dataclass(frozen=True, slots=True)
class Play:
    """An answer with its timing, or a fault that takes its place."""

    text: str
    first_s: float
    last_s: float
    pieces: int
    input_tokens: int
    output_tokens: int
    fault: Fault | None = None


def play(script: Script, rule: Rule, call: Call, nth: int) -> Play:
    """`nth`: how many calls with this key came before."""
    rng = random.Random(_seed(script.seed, call, nth))
    fault = _fault(rule, nth, rng)
    text = _text(script, rule.answer, call, rng)
    latency_s = rule.latency.median_ms / 1000
    if rule.latency.sigma:
        latency_s *= math.exp(rng.gauss(0, rule.latency.sigma))
    if fault is not None and fault.kind == "huge":
        text = "x" * fault.size
    tokens = (_tokens(call.prompt), _tokens(text))
    return Play(text, latency_s * rule.latency.first_share, latency_s, rule.pieces, *tokens, fault)


def _seed(seed: int, call: Call, nth: int) -> int:
    digest = hashlib.blake2b(f"{seed}\n{nth}\n{call.key}".encode("utf-8", "replace"), digest_size=8)
    return int.from_bytes(digest.digest())


def _fault(rule: Rule, nth: int, rng: random.Random) -> Fault | None:
    """The first fault that is drawn. Each is drawn, so that one more changes no other's chance."""
    found = None
    for fault in rule.faults:
        hit = rng.random() < fault.probability and (fault.times is None or nth < fault.times)
        found = fault if found is None and hit else found
    return found


def _text(script: Script, answer: Answer, call: Call, rng: random.Random) -> str:
    right = _right(script, call) if answer.by_table else None
    if right is None:
        return answer.text
    if rng.random() < answer.accuracy:
        return right
    others = answer.wrong or tuple(sorted({a for a in script.table.values() if a != right}))
    return rng.choice(others) if others else answer.text


def _right(script: Script, call: Call) -> str | None:
    """The table's answer. A completion's prompt ends in the last user message: a blank line leads
    to it, and it may have blank lines itself."""
    rest, blank = call.prompt, "\n\n"
    while rest not in script.table and call.style == "openai-completions" and blank in rest:
        rest = rest.partition(blank)[2]
    return script.table.get(rest)


def _tokens(text: str) -> int:
    """About four characters a token, as a rule of thumb; at least one for any text."""
    return max(1, len(text) // 4) if text else 0


def read_call(style: str, body: Mapping[str, Any]) -> Call:
    """The call in a request's body. Raises KeyError, TypeError or ValueError for what is none."""
    model, stream = str(body["model"]), bool(body.get("stream"))
    if style == "openai-completions":
        prompt = str(body["prompt"])
    else:
        users = [m["content"] for m in body["messages"] if m["role"] == "user"]
        last = users[-1] if users else ""
        prompt = last if isinstance(last, str) else "".join(str(p.get("text", "")) for p in last)
    usage = not stream or bool((body.get("stream_options") or {}).get("include_usage"))
    return Call(style, model, prompt, stream, usage or style == "anthropic-messages")
