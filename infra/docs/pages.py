"""Every page of docs/reference/, by file name."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from infra.docs.commands import commands
from infra.docs.contract import opentelemetry, reasons, schemas, topics
from infra.docs.markdown import page
from infra.docs.operation import errors, metrics, settings
from infra.docs.storage import tables

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"

PAGES: Mapping[str, Callable[[], str]] = {
    "cli.md": commands,
    "settings.md": settings,
    "topics.md": topics,
    "schemas.md": schemas,
    "opentelemetry.md": opentelemetry,
    "reasons.md": reasons,
    "tables.md": tables,
    "metrics.md": metrics,
    "errors.md": errors,
}


def rendered() -> dict[str, str]:
    """The text of every page, the index included."""
    texts = {name: write_page() for name, write_page in PAGES.items()}
    lines = [f"- [{_title(text)}]({name})" for name, text in texts.items()]
    index = page("Reference", "infra/docs/pages.py", "\n".join(lines))
    return {"README.md": index, **texts}


def write(folder: Path = FOLDER) -> Iterator[Path]:
    """Writes what changed and removes pages that are no more; yields the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = rendered()
    for old in folder.glob("*.md"):
        if old.name not in texts:
            old.unlink()
    for name, text in texts.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            yield path


def _title(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("# ")).removeprefix("# ")
