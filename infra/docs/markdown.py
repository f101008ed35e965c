"""Small pieces of Markdown."""

from collections.abc import Iterable, Sequence

NOTICE = "<!-- Written by `make docs` from {source}. Change it there. -->"


def page(title: str, source: str, *parts: str) -> str:
    """A whole page: its title, where it comes from, and its parts."""
    head = [NOTICE.format(source=source), f"# {title}"]
    return "\n\n".join([*head, *(part.strip("\n") for part in parts if part)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table. Pipes in cells are escaped; line breaks become spaces."""
    lines = [list(head), ["---"] * len(head), *([_cell(c) for c in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(text: str) -> str:
    """A piece of code in a line; nothing for nothing."""
    return f"`{text}`" if text else ""


def block(text: str, language: str = "") -> str:
    """A block of code."""
    return f"```{language}\n{text.strip()}\n```"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
