"""Models that a judge compared with a reference answer, ranked, on a terminal."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from agents.evaluation.judged_ranking import JudgedModel, JudgedRanking
from infra.tables import narrow


def ranking(found: JudgedRanking) -> Iterator[RenderableType]:
    """A table in 80 columns; what cannot be ranked, and what all rests on, stand below."""
    yield Text(f"ranking by {found.metric}, against {found.reference}", "bold")
    table = narrow("model", "rank", "Elo", "95 %", "won/tied/lost", "points")
    ranks = [each.rank for each in found.models]
    for each in found.models:
        shared = each.rank is not None and ranks.count(each.rank) > 1
        table.add_row(
            Text(_name(each)),
            "-" if each.rank is None else f"{each.rank}{'=' if shared else ''}",
            "" if each.elo is None else f"{each.elo:.0f}",
            "" if each.lower is None else f"[{each.lower:.0f}, {each.upper:.0f}]",
            f"{each.wins:,}/{each.ties:,}/{each.losses:,}",
            f"{each.share:.1%}",
        )
    yield table
    if any(ranks.count(rank) > 1 for rank in ranks if rank is not None):
        yield Text("=: not distinguishable from the neighbour of the same rank", "dim")
    for each in found.models:
        if each.note:
            yield Text(f"  {_name(each)}: {each.note}", "yellow")
    if found.why_none:
        yield Text(f"  nobody is ranked: {found.why_none}", "yellow")
    models = [each for each in found.models if each.model_version is not None]
    unsure = sum(each.inconsistent for each in models)
    if unsure:
        said = "judgements that changed with the order of the answers, and count as ties"
        yield Text(f"  {said}: {unsure:,}", "yellow")
    yield Text(f"{found.basis[0].upper()}{found.basis[1:]}.", "dim")


def _name(each: JudgedModel) -> str:
    if each.model_version is None:
        return f"the reference ({each.model_id})"
    return f"{each.model_id} {each.model_version}"
