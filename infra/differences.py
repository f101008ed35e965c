"""What differs between two entities, on a terminal."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from agents.registry.diff import Difference
from infra.tables import whole


def differences(found: Sequence[Difference]) -> RenderableType:
    """A table, or that there is none."""
    if not found:
        return "no difference"
    table = whole(Table("field", "before", "after"))
    for each in found:
        table.add_row(escape(each.field), *(escape(readable(v)) for v in (each.before, each.after)))
    return table


def readable(value: object) -> str:
    """A field's value in words; '-' for what is not there."""
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return ", ".join(readable(item) for item in value) or "none"
    if is_dataclass(value):
        named = [(field.name, getattr(value, field.name)) for field in fields(value)]
        return ", ".join(f"{name} {readable(v)}" for name, v in named if v not in (None, ()))
    return value.isoformat() if isinstance(value, datetime) else str(value)
