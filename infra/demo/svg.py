"""The live view as an SVG file, for the README. No fonts are fetched from anywhere."""

import io
import re
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from infra.demo.state import Picture
from infra.demo.view import render

WIDTH = 126
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
    [
        (92, 100, 110),
        (255, 161, 152),
        (86, 211, 100),
        (227, 179, 65),
        (121, 192, 255),
        (210, 168, 255),
        (86, 212, 221),
        (240, 246, 252),
    ],
)
"""Background, text, and the colours of a terminal: eight, and eight bright ones."""


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
