"""An agent that asks which model should answer, falls back to rules, and reports what happened.

    pip install rheostat-client
    export RHEOSTAT_ORG_ID=acme RHEOSTAT_KAFKA_BOOTSTRAP=127.0.0.1:9092
    python agent.py            # or: python agent.py --turns 20

It needs neither a model nor Rheostat to run: the model is a stand-in, and without updates (or
without Kafka) the rules below choose. Start Rheostat, apply a policy for `chat`, and the same
program follows its selections.
"""

import argparse
import logging
import random
import time
from collections.abc import Iterator

from rheostat_client import (
    Call,
    Choice,
    Config,
    NoChoice,
    Reporter,
    Requirements,
    Rule,
    Selector,
)

CAPABILITY = "chat"
RULES = {CAPABILITY: [Rule("large", "2026-03"), Rule("small", "2026-01")]}
"""Who answers while nothing is known: large, or small when large is excluded."""


class Overloaded(Exception):
    """The stand-in for an endpoint's 503."""


class Agent:
    """Answers questions. One failed model is tried around, with another that may serve."""

    def __init__(self, selector: Selector, reporter: Reporter) -> None:
        self._selector = selector
        self._reporter = reporter

    def answer(self, user: str, question: str) -> str:
        """The answer, or an apology when nobody could give one."""
        failed: set[str] = set()
        while True:
            # Without `failed` there is nothing to require: the fast path.
            wanted = Requirements(exclude_models=frozenset(failed)) if failed else None
            try:
                choice = self._selector.choose(CAPABILITY, unit_id=user, requirements=wanted)
            except NoChoice as error:
                return f"nobody can answer: {error}"
            try:
                return self._ask(user, question, choice)
            except Overloaded:
                failed.add(choice.model_id)

    def _ask(self, user: str, question: str, choice: Choice) -> str:
        with self._reporter.inference(choice=choice, unit_id=user) as call:
            answer = " ".join(stream(choice.model_id, question, call))
        self._reporter.feedback(call.handle, "thumbs_up", float(len(answer) > 20))
        return f"[{choice.model_id} by {choice.source}] {answer}"


def stream(model_id: str, question: str, call: Call) -> Iterator[str]:
    """A stand-in for a model that streams its answer and is sometimes overloaded."""
    time.sleep(random.uniform(0.005, 0.02))
    if random.random() < 0.1:
        raise Overloaded
    for word in ("you", "asked", question, "and", model_id, "replies"):
        call.first_token()
        yield word
    call.usage(input_tokens=len(question), output_tokens=6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--turns", type=int, default=5, help="questions to ask (default 5)")
    turns = parser.parse_args().turns
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    config = Config.from_env()
    with Reporter(config) as reporter, Selector(config, RULES) as selector:
        selector.wait_ready(2.0)  # optional: prefer the live selection from the first question on
        agent = Agent(selector, reporter)
        for turn in range(turns):
            print(agent.answer(f"user-{turn % 3}", f"question {turn}?"))
        print(selector.explain(CAPABILITY, unit_id="user-0"))
        left = reporter.flush(5.0)
        print(f"reported {reporter.counts.delivered} events, {left} still wait for Kafka")


if __name__ == "__main__":
    main()
