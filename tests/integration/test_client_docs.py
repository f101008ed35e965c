"""What the documentation of the client shows works as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.settings import Settings
from tests.support.openai_server import serving_openai
from tests.support.servers import Kafka

pytestmark = pytest.mark.integration
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def env(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in (
        ("RHEOSTAT_ORG_ID", "acme"),
        ("RHEOSTAT_KAFKA_BOOTSTRAP", settings.bootstrap),
        ("RHEOSTAT_TOPIC_PREFIX", settings.topic_prefix),
        ("XDG_CACHE_HOME", str(tmp_path)),
        ("OPENAI_API_KEY", "x"),
    ):
        monkeypatch.setenv(name, value)


def events(kafka: Kafka, settings: Settings, topic: str) -> int:
    return len(list(kafka.read_all(f"{settings.topic_prefix}{topic}")))


@pytest.mark.usefixtures("env")
@pytest.mark.parametrize(
    ("page", "calls", "outcomes", "completions"),
    [("docs/client.md", 7, 2, 1), ("client/README.md", 1, 1, 0)],
)
def test_the_code_of_a_page_runs(
    page: str,
    calls: int,
    outcomes: int,
    completions: int,
    kafka: Kafka,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blocks = BLOCK.findall(Path(page).read_text())
    assert blocks
    with serving_openai() as (url, requests):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        exec(compile("\n".join(blocks), page, "exec"), {"__name__": "page"})
    assert len(requests) == completions
    assert events(kafka, settings, "inference-events") == calls
    assert events(kafka, settings, "feedback-events") == outcomes


@pytest.mark.usefixtures("env")
def test_the_example_runs(kafka: Kafka, settings: Settings) -> None:
    ended = subprocess.run(
        [sys.executable, "client/examples/agent.py", "--turns", "7"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "by rules" in ended.stdout
    assert "0 still wait for Kafka" in ended.stdout
    answered = ended.stdout.count(" by rules] ")
    # Its stand-in for a model is overloaded at random: a turn may find nobody left to ask.
    assert answered + ended.stdout.count("nobody can answer") == 7
    assert events(kafka, settings, "feedback-events") == answered > 0
    assert events(kafka, settings, "inference-events") >= 7
