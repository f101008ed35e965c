"""Adapters of other packages: by their entry points."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.errors import BadConfiguration
from agents.evaluation.runner.adapters import adapters, styles

MODULE = """
from agents.evaluation.runner.adapters.openai import OpenAiChat

class Echo(OpenAiChat):
    style = "echo"
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages with one adapter; its entry point is still to be written."""
    info = tmp_path / "echoing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: echoing\nVersion: 1.0\n")
    (tmp_path / "echoing.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    styles.cache_clear()
    yield info / "entry_points.txt"
    styles.cache_clear()


def test_an_installed_adapter_is_a_style_that_models_may_name(site: Path) -> None:
    site.write_text("[rheostat.adapters]\necho = echoing:Echo\n")
    assert styles() == ("anthropic-messages", "echo", "openai-chat", "openai-completions")
    assert set(adapters()) == set(styles())


def test_an_adapter_that_is_declared_under_another_name_is_told(site: Path) -> None:
    site.write_text("[rheostat.adapters]\nnoise = echoing:Echo\n")
    with pytest.raises(BadConfiguration, match="declared as noise; its style is echo"):
        adapters()
