"""Models that judge, called as models that are evaluated are: same lanes, retries and cache."""

from dataclasses import dataclass
from datetime import UTC, datetime

from agents.evaluation.judges import judge_model
from agents.evaluation.prices import NANOS_PER_USD, Tokens, price_at, tokens_nanos
from agents.evaluation.runner.answering import Answered, Answering, Attempt
from agents.evaluation.runner.failures import CallFailed
from agents.evaluation.services import Question, Reply, ServiceFailed, Spent, as_case
from schemas.entities import Model
from schemas.evaluations import EvaluationCase


@dataclass(slots=True)
class Asking:
    """Answers the questions of scorers (agents.evaluation.services.Judges).

    `answering`: set as soon as the runner has it. Same questions have one answer: a judge is asked
    again only when the question changes, or the run takes no answers that others paid for.
    """

    answering: Answering | None = None

    async def __call__(self, question: Question, judged: EvaluationCase, /) -> Reply:
        """The judge's text, and what it took. Raises ServiceFailed."""
        if self.answering is None:
            raise ServiceFailed("the runner does not call models yet")
        now = datetime.now(UTC)
        judge = (question.model_id, question.model_version)
        model = judge_model(self.answering.registry(), question.org_id, judge, now)
        version = question.model_version if model is None else model.model_version
        if version is None:
            text = f"{question.org_id} has no active version of {question.model_id} registered"
            raise ServiceFailed(text)
        try:
            answered = await self.answering.answer(Attempt(as_case(question, judged, version, now)))
        except CallFailed as failed:
            name = f"{question.model_id}/{version}"
            raise ServiceFailed(f"the judge {name} gave no answer: {failed}") from failed
        return Reply(answered.called.answer.text, _spent(answered, model, now))


def _spent(answered: Answered, model: Model | None, now: datetime) -> Spent:
    """By the endpoint's own figure, else by the registry's price."""
    if answered.cached:
        return Spent()
    answer = answered.called.answer
    cost_usd = answer.cost_usd
    price = None if model is None else price_at(model, now)
    if cost_usd is None and price is not None:
        tokens = Tokens(answer.input_tokens, answer.output_tokens, answer.cached_input_tokens)
        cost_usd = tokens_nanos(price, tokens) / NANOS_PER_USD
    return Spent(answered.calls, answer.input_tokens, answer.output_tokens, cost_usd)
