"""YAML that remembers where everything stood: plain values beside the line of each."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import yaml

from agents.errors import Problem
from agents.registry.validity import Path
from agents.registry.validity import shown as shown_within

__all__ = ["Document", "Path", "shown"]


MOST_VALUES = 200_000
"""Values that a file may stand for: aliases can make a few lines stand for billions."""
UNREADABLE = (ValueError, KeyError, AttributeError, TypeError, OverflowError)
"""What the library raises for a value that is not what it looks like: 2026-13-45, !!bool x."""


class Document:
    """A parsed file: `value` in plain Python, `line(path)` and the problems of its form."""

    def __init__(self, text: str) -> None:
        """Raises yaml.YAMLError when the text is not YAML, or too much of it."""
        self.problems: list[Problem] = []
        self._values = 0
        self._lines: dict[Path, int] = {}
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            self.value = None if node is None else self._plain(loader, node, ())
        except RecursionError as error:
            raise yaml.YAMLError("it is nested too deeply") from error
        finally:
            loader.dispose()

    def line(self, path: Path) -> int:
        """Where a value stands, or the nearest thing around it. Lines count from 1."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def _plain(self, loader: yaml.SafeLoader, node: yaml.Node, path: Path) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        self._values += 1
        if self._values > MOST_VALUES:
            raise yaml.YAMLError(f"it stands for more than {MOST_VALUES:,} values")
        if isinstance(node, yaml.MappingNode):
            return {key: self._plain(loader, n, (*path, key)) for key, n in self._keys(node, path)}
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(loader, n, (*path, i)) for i, n in enumerate(node.value)]
        try:
            value = loader.construct_object(node)
        except UNREADABLE:
            text = f"cannot be read as the kind of value that it looks like: {node.value!r}"
            self.problems.append(Problem(node.start_mark.line + 1, shown(path), text))
            return None
        if isinstance(value, date) and not isinstance(value, datetime):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        return value

    def _keys(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, yaml.Node]]:
        seen: set[str] = set()
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None:
                self.problems.append(Problem(line, shown(path), "a field's name must be text"))
            elif key in seen:
                self.problems.append(Problem(line, shown((*path, key)), "is given twice"))
            else:
                seen.add(key)
                self._lines[(*path, key)] = line
                yield key, value_node


def shown(path: Path) -> str:
    """A path as people write it: models[0].prices[1].valid_from."""
    return shown_within(path) or "the file"
