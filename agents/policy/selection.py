"""One selection: candidates ranked by a lower confidence bound, a leader that noise cannot unseat.

Rank: eligible before the rest, by `score_lower`. The leader changes only when
- it is no longer eligible (at once), or
- a challenger's lower bound exceeds the leader's score (not its bound: the challenger's bad case
  must beat the leader's best guess) and the leader has led for `min_dwell_s`.
A fallback follows the declared order and ends as soon as anybody is eligible by measurement.

Weights: agents.policy.shares. They sum to 1 over the eligible, newcomers among them.

A published decision is remembered in `Decision` and never recomputed.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from agents.policy.candidates import Assessed, Field, Reason, assess
from agents.policy.contributions import ModelKey
from agents.policy.shares import Shares, shared
from agents.policy.sums import Tally
from schemas.entities import Model, SelectionPolicy
from schemas.records import Candidate, SelectionUpdate

TTL_S = 60.0
HEARTBEAT_S = TTL_S / 2
NUMBERS_EVERY_S = 1.0
_IDS = uuid.UUID("5f0c2f0e-3a43-5d0a-9a86-7a2f6f1b3c11")


@dataclass(frozen=True, slots=True)
class Decision:
    """What was published last, as far as the next decision depends on it.

    `signature` names everything that a reader would act on: ranks, eligibility, weights, kinds of
    reasons. `sequence` counts publications and makes selection_id. `fallback_since`: since when it
    is not based on measurements; `alerted`: whether an alert said so. `shares`: of the traffic.
    """

    sequence: int
    leader: ModelKey | None
    leader_since: datetime
    fallback_since: datetime | None
    alerted: bool
    signature: str
    published_at: datetime
    shares: Shares | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: the policy and the facts it is applied to.

    `priors`: how many of a model's calls in `tallies` are evaluations (agents.policy.prior).
    """

    policy: SelectionPolicy
    policy_version: int
    models: Sequence[Model]
    tallies: Mapping[ModelKey, Tally]
    priors: Mapping[ModelKey, int] = field(default_factory=dict)


def select(
    question: Question, before: Decision | None, now: datetime
) -> tuple[SelectionUpdate, Decision]:
    """The selection at `now`, and the decision to remember if it is published."""
    policy = question.policy
    models = [replace(m, status=m.status_at(now)) for m in question.models]
    found = assess(policy, models, question.tallies)
    order, leading, kept = _ranked(policy, found, before, now)
    leader = order[0].key if found.eligible else None
    since = before.leader_since if before and before.leader == leader else now
    fallback_since = None
    if found.basis in ("fallback", "nobody"):
        fallback_since = (before.fallback_since if before else None) or now
    sequence = 1 + (before.sequence if before else 0)
    shares = shared(policy, found, order, before.shares if before else None, (sequence, now))
    ranking = _Ranking(found, order, leading, shares, question.priors)
    decision = Decision(
        sequence=sequence,
        leader=leader,
        leader_since=since,
        fallback_since=fallback_since,
        alerted=bool(before and before.alerted and fallback_since),
        signature=_signature(question, ranking),
        published_at=now,
        shares=shares,
    )
    update = SelectionUpdate(
        selection_id=str(uuid.uuid5(_IDS, f"{policy.org_id}/{policy.capability}/{sequence}")),
        org_id=policy.org_id,
        capability=policy.capability,
        issued_at=now,
        expires_at=_expires_at(found, models, now),
        policy_version=question.policy_version,
        reason=_reason(policy, found, leading, kept),
        candidates=_candidates(ranking),
    )
    return update, decision


def next_retirement(models: Sequence[Model], now: datetime) -> datetime | None:
    """When the first of the models that have not retired by their date will."""
    dates = (m.retires_at for m in models)
    return min((date for date in dates if date is not None and date > now), default=None)


def _expires_at(field: Field, models: Sequence[Model], now: datetime) -> datetime:
    """Nobody should follow an update past the date on which a model that it sends to retires."""
    able = {a.key for a in field.eligible}
    serving = [m for m in models if ModelKey(m.model_id, m.model_version) in able]
    usual = now + timedelta(seconds=TTL_S)
    return min(usual, next_retirement(serving, now) or usual)


def due(after: Decision, before: Decision | None, numbers_changed: bool) -> bool:
    """Whether to publish: at once when a reader would act differently; numbers alone at most once
    in NUMBERS_EVERY_S; unchanged ones in time before they expire."""
    if before is None or after.signature != before.signature:
        return True
    age_s = (after.published_at - before.published_at).total_seconds()
    return age_s >= HEARTBEAT_S or (numbers_changed and age_s >= NUMBERS_EVERY_S)


def _lower(candidate: Assessed) -> float:
    return candidate.score.lower if candidate.score else float("-inf")


def _ranked(
    policy: SelectionPolicy, field: Field, before: Decision | None, now: datetime
) -> tuple[tuple[Assessed, ...], Reason, bool]:
    """(everyone by rank, why the first leads, whether hysteresis kept it there)."""
    rest = sorted(field.barred, key=lambda a: (-_lower(a), a.key))
    if not field.eligible:
        return tuple(rest), Reason("nobody", "no candidate may serve"), False
    if field.basis == "fallback":
        why = Reason("fallback", "first of the policy's fallback order that may serve")
        return (*field.eligible, *rest), why, False
    ranked = sorted(field.eligible, key=lambda a: (-_lower(a), a.key))
    first, rest = ranked[0], [*field.newcomers, *rest]
    held = next((a for a in ranked if before and a.key == before.leader), None)
    if before is None or held is None or before.fallback_since or held is first:
        return (*ranked, *rest), Reason("best", "has the best lower bound of the eligible"), False
    why_kept = _holds(policy, held, first, (now - before.leader_since).total_seconds())
    if why_kept is None:
        why = Reason(
            "took_over",
            f"its lower bound {_lower(first):.4f} exceeds the score of {_name(held.key)}",
        )
        return (*ranked, *rest), why, False
    return (held, *(a for a in ranked if a is not held), *rest), why_kept, True


def _holds(
    policy: SelectionPolicy, leader: Assessed, first: Assessed, led_s: float
) -> Reason | None:
    """Why the leader stays although another has the better lower bound; None: it does not."""
    best_guess = leader.score.value if leader.score else float("-inf")
    if _lower(first) <= best_guess:
        return Reason(
            "not_surpassed",
            f"stays leader: the lower bound {_lower(first):.4f} of {_name(first.key)} "
            f"does not exceed its score {best_guess:.4f}",
        )
    if led_s < policy.min_dwell_s:
        return Reason(
            "dwell",
            f"stays leader until it has led for {policy.min_dwell_s:g} s; "
            f"{_name(first.key)} is ahead",
        )
    return None


@dataclass(frozen=True, slots=True)
class _Ranking:
    """Everyone by rank, why the first leads, and what each gets."""

    field: Field
    order: Sequence[Assessed]
    leading: Reason
    shares: Shares
    priors: Mapping[ModelKey, int]


def _candidates(ranking: _Ranking) -> tuple[Candidate, ...]:
    eligible = len(ranking.field.serving)
    return tuple(
        Candidate(
            model_id=a.key.model_id,
            model_version=a.key.model_version,
            rank=rank,
            weight=ranking.shares.of(a.key) if rank <= eligible else 0.0,
            eligible=rank <= eligible,
            score=a.score.value if a.score else None,
            score_lower=a.score.lower if a.score else None,
            samples=a.measured.samples,
            quality=a.measured.quality,
            error_rate=a.measured.error_rate,
            latency_p95_ms=a.measured.latency_p95_ms,
            cost_usd_mean=a.measured.cost_usd_mean,
            reasons=tuple(r.text for r in _reasons(ranking, a, rank)),
        )
        for rank, a in enumerate(ranking.order, 1)
    )


def _reasons(ranking: _Ranking, candidate: Assessed, rank: int) -> tuple[Reason, ...]:
    """Why the candidate stands where it stands, the most important first."""
    field, leading = ranking.field, ranking.leading
    eligible = rank <= len(field.eligible)
    explored = candidate in field.newcomers
    found: list[Reason] = []
    if eligible and rank == 1:
        found.append(leading)
    elif eligible and field.basis == "fallback":
        found.append(Reason("fallback", f"number {rank} of the policy's fallback order"))
    elif eligible:
        found.append(Reason("behind", "eligible behind the leader: gets a share of exploration"))
    elif explored:
        text = "in the policy's fallback and not measured yet: gets a share of exploration"
        found.append(Reason("newcomer", text))
    if candidate.bar is not None:
        found.append(candidate.bar)
    found += candidate.notes
    if not eligible and candidate.bar is None:
        found.append(Reason("spare", f"its status is {candidate.status}: only if nobody active is"))
    if candidate.score is not None:
        text = f"score {candidate.score.value:.4f}, lower bound {candidate.score.lower:.4f}"
        text += f" from {candidate.measured.samples} calls"
        prior = ranking.priors.get(candidate.key)
        found.append(Reason("score", f"{text}, {prior} of them evaluations" if prior else text))
    return tuple(found)


def _signature(question: Question, ranking: _Ranking) -> str:
    lines = [
        f"{a.key.model_id}/{a.key.model_version}:{ranking.shares.of(a.key):.6f}:"
        + ",".join(r.code for r in _reasons(ranking, a, i + 1))
        for i, a in enumerate(ranking.order)
    ]
    basis = ranking.field.basis
    return str(uuid.uuid5(_IDS, "\n".join([str(question.policy_version), basis, *lines])))


def _reason(policy: SelectionPolicy, field: Field, leading: Reason, kept: bool) -> str:
    eligible, everyone = len(field.eligible), len(field.everyone)
    window = f"the last {policy.window_minutes:g} min"
    if field.basis == "nobody":
        return "No candidate may serve, and the policy's fallback names none that could."
    if field.basis == "fallback":
        violating = all(a.violates for a in field.eligible)
        why = (
            "every measured candidate breaks a constraint"
            if violating
            else f"no candidate has {policy.min_samples} calls in {window} and meets the policy"
        )
        return f"Fallback to the policy's declared order: {why}."
    text = f"{eligible} of {everyone} candidates are eligible over {window}; ranked by the "
    text += "95 % lower bound of the score."
    if field.newcomers:
        text += f" {len(field.newcomers)} not measured yet, explored."
    if field.basis == "deprecated":
        text += " No active model qualifies: deprecated ones serve."
    if kept:
        text += f" The leader {leading.text}."
    if field.left_out:
        text += f" Left out, measured for nobody: {', '.join(field.left_out)}."
    return text


def _name(key: ModelKey) -> str:
    return f"{key.model_id} {key.model_version}"
