"""Keys by reference: where they may come from."""

from pathlib import Path

import pytest

from agents.evaluation.runner.failures import CallFailed
from agents.evaluation.runner.secret import Secrets


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "key").write_text("sk-file\n")
    (folder / "two").write_text("a\nb")
    (folder / "none").write_text("")
    (tmp_path / "other").write_text("outside")
    (folder / "link").symlink_to(tmp_path / "other")
    return Secrets(folder)


def test_from_the_environment_and_from_a_file_at_the_time_of_the_call(
    secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_KEY", "sk-env")
    assert secrets.resolve("env:MODEL_KEY") == "sk-env"
    assert secrets.resolve("file:key") == "sk-file"
    (secrets.folder / "key").write_text("sk-new")
    assert secrets.resolve("file:key") == "sk-new"
    assert secrets.resolve(None) is None


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("env:NOT_THERE", "has no NOT_THERE"),
        ("env:RHEOSTAT_CLICKHOUSE_URL", "setting of Rheostat's own"),
        ("file:../other", "outside of the folder"),
        ("file:link", "outside of the folder"),
        ("file:/etc/passwd", "outside of the folder"),
        ("file:missing", "cannot be read: FileNotFoundError"),
        ("file:none", "is empty"),
        ("file:two", "more than one line"),
        ("vault:kv/models", "by env:NAME or file:NAME, not by vault"),
    ],
)
def test_anything_else_is_refused(
    secrets: Secrets, reference: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RHEOSTAT_CLICKHOUSE_URL", "http://user:password@host")
    with pytest.raises(CallFailed, match=why) as caught:
        secrets.resolve(reference)
    assert caught.value.error_type == "authentication"
    assert "password" not in str(caught.value)
