"""How close an answer is in meaning to the right one, by the cosine of their embeddings."""

import math
from collections.abc import Sequence

from pydantic import Field

from agents.evaluation.scorers.base import (
    Absent,
    AskingScorer,
    Fields,
    Found,
    ReferenceOptions,
    references,
    shorten,
)
from agents.evaluation.services import ServiceFailed, Services


class SimilarityOptions(ReferenceOptions):
    """`embedder`: the name of a configured one; scores of different ones cannot be compared."""

    embedder: str = "default"
    characters_max: int = Field(20_000, ge=1, description="longer answers are not embedded")


async def score(
    answer: str, fields: Fields, options: SimilarityOptions, services: Services
) -> Found | Absent:
    """The cosine with the closest right answer; negative ones are 0."""
    wanted = references(fields, options.reference)
    if isinstance(wanted, Absent):
        return wanted
    embed = services.embedders.get(options.embedder)
    if embed is None:
        known = ", ".join(sorted(services.embedders)) or "none"
        return Absent(
            f"there is no embedder {options.embedder!r} (configured: {known}). Configure an "
            "endpoint for embeddings, or install rheostat[embeddings] for a local model: "
            "docs/scorers.md"
        )
    if not answer.strip():
        return Absent("an empty answer has no embedding")
    if len(answer) > options.characters_max:
        return Absent(
            f"the answer has {len(answer)} characters; {options.characters_max} are embedded"
        )
    try:
        first, *others = await embed([answer, *wanted])
    except ServiceFailed as why:
        return Absent(f"the embedder {options.embedder!r} gave no vectors: {why}")
    if len(others) != len(wanted) or any(len(vector) != len(first) for vector in others):
        return Absent(f"the embedder {options.embedder!r} gave vectors that do not fit the texts")
    cosines = [cosine(first, vector) for vector in others]
    known_cosines = [c for c in cosines if c is not None]
    if len(known_cosines) < len(cosines):
        return Absent(f"the embedder {options.embedder!r} gave a vector without direction")
    best = max(known_cosines)
    closest = shorten(wanted[cosines.index(best)])
    return Found(min(max(best, 0.0), 1.0), explanation=f"cosine {best:.4f} with {closest!r}")


def cosine(a: Sequence[float], b: Sequence[float]) -> float | None:
    """a.b / (|a| |b|) of two vectors of one length; None when one is zero or not finite."""
    length = math.hypot(*a) * math.hypot(*b)
    if not length > 0 or not math.isfinite(length):
        return None
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / length


SEMANTIC_SIMILARITY = AskingScorer(
    "semantic_similarity", "1", SimilarityOptions, score, time_limit_s=lambda _: 120.0
)
