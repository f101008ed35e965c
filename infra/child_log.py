"""The log files of supervised children."""

import json
import os
from pathlib import Path
from typing import IO

BYTES_MAX = 32 * 1024 * 1024
TAIL_BYTES = 2000
WORDS_MAX = 500


def opened(path: Path) -> IO[bytes]:
    """For appending; one that has grown large is put aside first, in place of the one before."""
    if path.exists() and path.stat().st_size > BYTES_MAX:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def last_words(path: Path) -> str:
    """The last line, of our own (JSON) its event; '' when there is none."""
    try:
        with path.open("rb") as log_file:
            log_file.seek(max(0, log_file.seek(0, os.SEEK_END) - TAIL_BYTES))
            lines = log_file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return _told(lines[-1])[:WORDS_MAX] if lines else ""


def _told(line: str) -> str:
    try:
        return str(json.loads(line)["event"])
    except (ValueError, TypeError, KeyError):
        return line
