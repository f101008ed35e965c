"""Adapters by the api_style of a model's endpoint: our own, and installed ones.

A package adds one by an entry point of the group `rheostat.adapters` that names an Adapter class.
"""

from collections.abc import Mapping
from importlib.metadata import entry_points

from agents.errors import BadConfiguration
from agents.evaluation.runner.adapters.anthropic import AnthropicMessages
from agents.evaluation.runner.adapters.base import Adapter
from agents.evaluation.runner.adapters.openai import OpenAiChat, OpenAiCompletions

GROUP = "rheostat.adapters"


def adapters() -> Mapping[str, Adapter]:
    """Raises BadConfiguration for an installed adapter that is none, or takes another's name."""
    own: tuple[Adapter, ...] = (OpenAiChat(), OpenAiCompletions(), AnthropicMessages())
    found = {adapter.style: adapter for adapter in own}
    for entry in entry_points(group=GROUP):
        made = entry.load()()
        if not isinstance(made, Adapter) or not getattr(made, "style", ""):
            raise BadConfiguration(f"{entry.value} ({GROUP}) is no Adapter with a style")
        if made.style in found:
            raise BadConfiguration(f"{entry.value}: there is an adapter for {made.style} already")
        found[made.style] = made
    return found
