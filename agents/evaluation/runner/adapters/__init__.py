"""Adapters by the api_style of a model's endpoint: our own, and installed ones.

A package adds one by an entry point of the group `rheostat.adapters` that names an Adapter class;
its own name is the style.
"""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points

from agents.errors import BadConfiguration
from agents.evaluation.runner.adapters.anthropic import AnthropicMessages
from agents.evaluation.runner.adapters.base import Adapter
from agents.evaluation.runner.adapters.openai import OpenAiChat, OpenAiCompletions

GROUP = "rheostat.adapters"
OURS: tuple[type[Adapter], ...] = (OpenAiChat, OpenAiCompletions, AnthropicMessages)


@cache
def styles() -> tuple[str, ...]:
    """Every api_style that a model may name. Loads nobody's module."""
    installed = {entry.name for entry in entry_points(group=GROUP)}
    return tuple(sorted({adapter.style for adapter in OURS} | installed))


def adapters() -> Mapping[str, Adapter]:
    """Raises BadConfiguration for an installed adapter that is none, or takes another's name."""
    found = {adapter.style: adapter() for adapter in OURS}
    for entry in entry_points(group=GROUP):
        made = entry.load()()
        if not isinstance(made, Adapter) or not getattr(made, "style", ""):
            raise BadConfiguration(f"{entry.value} ({GROUP}) is no Adapter with a style")
        if made.style != entry.name:
            raise BadConfiguration(
                f"{entry.value} ({GROUP}) is declared as {entry.name}; its style is {made.style}"
            )
        if made.style in found:
            raise BadConfiguration(f"{entry.value}: there is an adapter for {made.style} already")
        found[made.style] = made
    return found
