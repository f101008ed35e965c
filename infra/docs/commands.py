"""The page of the command line, from Typer."""

from collections.abc import Iterator
from typing import Any

import typer

from infra.cli import app
from infra.docs.markdown import block, code, page, table

INTRO = """
Every command reads the [settings](settings.md); options come before the environment. `--help` says
the same as this page. Exit codes: 0 done (for `doctor`: healthy), 1 something outside has to change
(the message says what, why and what to do), 2 wrong use of the command line.
"""


def commands() -> str:
    """docs/reference/cli.md"""
    root: Any = typer.main.get_command(app)
    parts = [part for name, command in _all(root, "rheostat") for part in _command(name, command)]
    return page("Command line", "infra/cli.py", INTRO, *parts)


def _all(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Commands that do something, with their full names, in the order of --help."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for child, found in inner.items():
        if not found.hidden:
            yield from _all(found, f"{name} {child}")


def _command(name: str, command: Any) -> Iterator[str]:
    options = [p for p in command.params if p.opts[0].startswith("-")]
    arguments = [p for p in command.params if p not in options]
    words = [name, *(["[OPTIONS]"] if options else []), *(_metavar(p) for p in arguments)]
    yield f"## {name}"
    yield block(" ".join(words))
    yield _examples_as_code(command.help or "")
    rows = [[code(_metavar(p)), p.help or "", _default(p)] for p in arguments]
    rows += [[code(_option(p)), p.help or "", _default(p)] for p in options]
    yield table(["", "meaning", "default"], rows) if rows else ""


def _examples_as_code(text: str) -> str:
    """Indented lines, each a command line, joined into one block."""
    kept, examples = [], []
    for line in text.strip().splitlines():
        if line.startswith("    "):
            examples.append(line.strip())
        elif line.strip() or not examples:
            kept.append(line)
    return "\n".join(kept).rstrip() + (
        f"\n\n{block(chr(10).join(examples), 'sh')}" if examples else ""
    )


def _option(parameter: Any) -> str:
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return names if parameter.is_flag else f"{names} {_metavar(parameter)}"


def _metavar(parameter: Any) -> str:
    if parameter.metavar:
        return str(parameter.metavar)
    if not parameter.opts[0].startswith("-"):
        return str(parameter.name).upper()
    kind = getattr(parameter.type_descriptor.annotation, "__name__", "text")
    return {"int": "NUMBER", "float": "NUMBER", "Path": "PATH"}.get(kind, "TEXT")


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if parameter.multiple:
        return "may be repeated"
    return code(str(parameter.default)) if parameter.default not in {None, False} else ""
