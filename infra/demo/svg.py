"""The live view as an SVG file, for the README. No fonts are fetched from anywhere."""

import io
import re
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from infra.demo.state import Picture
from infra.demo.view import render

WIDTH = 120
HEIGHT = 36
THEME = TerminalTheme(
    (22, 27, 34),
    (201, 209, 217),
    [
        (22, 27, 34),
        (255, 123, 114),
        (63, 185, 80),
        (210, 153, 34),
        (88, 166, 255),
        (188, 140, 255),
        (57, 197, 207),
        (177, 186, 196),
    ],
)
"""Background, text, and the eight colours of a terminal."""


def save(picture: Picture, path: Path) -> None:
    """Draws the view as a terminal of WIDTH x HEIGHT would show it."""
    console = Console(
        record=True,
        file=io.StringIO(),
        width=WIDTH,
        height=HEIGHT,
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    console.print(render(picture, WIDTH, HEIGHT))
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = console.export_svg(title="rheostat demo", theme=THEME, unique_id="demo")
    path.write_text(re.sub(r"\s*@font-face \{[^}]*\}", "", drawn))
