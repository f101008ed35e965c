"""Folders that we write to, made with an error that an operator understands."""

import os
from pathlib import Path

from infra.errors import OperatorError


def usable(path: Path) -> Path:
    """`path`, made if need be. Raises OperatorError when it cannot be made or written to."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise _unusable(path, "Permission denied")
    return path


def _unusable(path: Path, why: str) -> OperatorError:
    return OperatorError(
        f"The folder {path} cannot be used: {why}. Choose a data dir that can be written to, with "
        "--data-dir or RHEOSTAT_DATA_DIR."
    )
