"""A place of a plan becomes the case that runners execute. Pure."""

import json
from dataclasses import dataclass, replace
from datetime import datetime

from agents.evaluation.judges import CallsUnknown, calls, judging_bound_nanos
from agents.evaluation.planner.places import Place, place_at
from agents.evaluation.planner.plan import Plan, model_of
from agents.evaluation.planner.supply import Asked, Sourced, Stored
from agents.evaluation.prices import bound_nanos
from agents.evaluation.render import TemplateError, render
from agents.evaluation.results import blank
from schemas.evaluations import CaseResult, EvaluationCase, EvaluationRun, Score
from schemas.suites import Suite
from schemas.topics import EVENT_BYTES_MAX
from streams.registry_view import RegistrySnapshot

CASE_BYTES_MAX = EVENT_BYTES_MAX - 256 * 1024
"""Of its texts. A message that is too large for its topic would end every round that writes it."""


@dataclass(frozen=True, slots=True)
class Made:
    """A case to execute, or the result of one that cannot be. `bound_nanos` None: no bound."""

    case: EvaluationCase
    bound_nanos: int | None
    result: CaseResult | None = None


def made(
    run: EvaluationRun,
    plan: Plan,
    number: int,
    sourced: Sourced,
    registry: RegistrySnapshot,
    now: datetime,
) -> Made:
    """What becomes of the place with this number."""
    place = place_at(number, run.cases, len(run.models))
    case = _case(run, plan, place, sourced, now)
    chosen = run.spec.models[place.model]
    model = model_of(run.org_id, chosen, registry)
    if model is None:
        return _unanswered(case, "model_deleted", "the model was deleted from the registry", now)
    if run.spec.rescore_of is not None:
        asked = Asked(place.epoch, chosen.model_id, chosen.model_version)
        stored = sourced.answers.get(asked)
        if stored is None:
            text = f"the run {run.spec.rescore_of} has no answer to this case"
            return _unanswered(case, "no_stored_output", text, now)
        case = replace(
            case,
            stored_output=stored.output,
            stored_scores=_comparable(stored, plan.suite, registry),
        )
        if _size(case) > CASE_BYTES_MAX:
            text = f"the answer takes {_size(case):,} bytes, and a case {CASE_BYTES_MAX:,} at most"
            return _unanswered(replace(case, stored_output=None), "no_stored_output", text, now)
        return Made(case, _judging(case, plan, len(stored.output.encode(errors="replace")), now))
    try:
        case = replace(case, messages=render(plan.suite, json.loads(sourced.case.fields)))
    except TemplateError as error:
        return _unanswered(case, "invalid_prompt", str(error), now)
    if _size(case) > CASE_BYTES_MAX:
        text = f"the prompt takes {_size(case):,} bytes, and a case {CASE_BYTES_MAX:,} at most"
        return _unanswered(case, "invalid_prompt", text, now)
    prompt = [message.content for message in case.messages]
    bounds = (
        bound_nanos(model, prompt, plan.output_tokens_max, now),
        _judging(case, plan, plan.answer_bytes_max(model), now),
    )
    return Made(case, None if None in bounds else sum(each or 0 for each in bounds))


def _size(case: EvaluationCase) -> int:
    """Bytes of a case's texts, about."""
    texts = [case.fields, case.parameters, case.stored_output or ""]
    texts += [message.content for message in case.messages]
    texts += [use.options for use in case.scorers]
    texts += [text for s in case.stored_scores for text in (s.explanation, s.label) if text]
    return sum(len(text.encode(errors="replace")) for text in texts)


def _judging(case: EvaluationCase, plan: Plan, answer_bytes: int, now: datetime) -> int | None:
    """The most that judges of the answer can cost; None: there is no bound."""
    if not plan.judges:
        return 0
    try:
        asked = calls(case.scorers, json.loads(case.fields))
    except CallsUnknown:
        return None
    return judging_bound_nanos(asked, plan.judges, answer_bytes, now)


def _comparable(stored: Stored, suite: Suite, registry: RegistrySnapshot) -> tuple[Score, ...]:
    """What was said under the same options about the same fields: of the others nothing is known.

    Whether it is up to date is the runner's to say, which has the scorers.
    """
    key = f"{suite.org_id}/{Suite.kind}/{stored.suite_id}/{stored.suite_version}"
    before = registry.entity(Suite, key)
    if before is None or _dataset(before) != _dataset(suite):
        return ()
    there = {(use.metric or use.scorer, use.scorer): use.options for use in before.scorers}
    asked = {(use.metric or use.scorer, use.scorer): use.options for use in suite.scorers}
    same = {name for name, options in asked.items() if there.get(name) == options}
    return tuple(score for score in stored.scores if (score.metric, score.scorer) in same)


def _dataset(suite: Suite) -> tuple[str, str]:
    return suite.dataset_id, suite.dataset_version


def _case(
    run: EvaluationRun, plan: Plan, place: Place, sourced: Sourced, now: datetime
) -> EvaluationCase:
    suite, case, chosen = plan.suite, sourced.case, run.spec.models[place.model]
    return EvaluationCase(
        run_id=run.run_id,
        case_id=case.case_id,
        epoch=place.epoch,
        org_id=run.org_id,
        model_id=chosen.model_id,
        model_version=chosen.model_version,
        capability=suite.capability,
        suite_id=suite.suite_id,
        suite_version=suite.suite_version,
        planned_at=now,
        messages=(),
        scorers=suite.scorers,
        parameters=plan.parameters_of(place.epoch),
        fields=case.fields,
        pass_threshold=suite.pass_threshold,
        timeout_s=suite.case_timeout_s,
        ab_test_id=run.spec.ab_test_id,
        arm=chosen.arm,
        split=case.split,
        tags=case.tags,
        cluster=case.cluster,
        use_cache=run.spec.use_cache,
    )


def _unanswered(case: EvaluationCase, error_type: str, text: str, now: datetime) -> Made:
    result = replace(
        blank(case, now), error_type=error_type, error_text=text, attempts=0, cost_usd=0.0
    )
    return Made(case, 0, result)
