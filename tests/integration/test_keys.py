"""`rheostat keys` and `rheostat registry export`, end to end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.access.authenticate import KeyRing, Rejected
from agents.access.authorise import Principal
from infra.errors import OperatorError
from infra.keys import KeyOptions, create, listed, revoke
from infra.registry import apply_file, export_text
from infra.settings import Settings
from tests.support.commands import NOW
from tests.support.registry import registry_agent

pytestmark = pytest.mark.integration
FILE = """\
models:
- org_id: acme
  model_id: small
  model_version: '1'
  provider: us
  capabilities:
  - chat
"""


def printed(settings: Settings, *arguments: str) -> str:
    """What the command line prints to be piped on."""
    return subprocess.run(
        [sys.executable, "-m", "infra", *arguments],
        env={
            **os.environ,
            "RHEOSTAT_KAFKA_BOOTSTRAP": str(settings.kafka_bootstrap),
            "RHEOSTAT_TOPIC_PREFIX": settings.topic_prefix,
            "RHEOSTAT_DATA_DIR": str(settings.data_dir),
        },
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=True,
    ).stdout


def test_keys_are_made_listed_and_revoked(settings: Settings) -> None:
    with registry_agent(settings) as view:
        ring = KeyRing(view.snapshot)
        token = printed(settings, "keys", "create", "--name", "first").strip()
        key_id = token.split("_")[1]
        view.catch_up(30)
        assert ring.by_token(token, NOW) == Principal("*", f"key:{key_id}", "operator")
        made = create(settings, KeyOptions("acme", None, "ci", None, "4w"))
        assert made.entity.expires_at is not None
        assert [(r.key.name, r.state) for r in listed(settings, None)] == [
            ("ci", "active"),
            ("first", "active"),
        ]
        assert [r.key.role for r in listed(settings, "acme")] == ["editor"]
        shown = printed(settings, "keys", "list")
        assert key_id in shown, "what revoke takes is shown whole, however narrow the page"
        assert made.entity.key_id in shown
        assert revoke(settings, token).key_id == key_id
        assert revoke(settings, key_id).key_id == key_id
        view.catch_up(30)
        assert isinstance(ring.by_token(token, NOW), Rejected)
        assert [r.state for r in listed(settings, "*")] == ["was revoked"]
        with pytest.raises(OperatorError, match="there is no API key aaaaaaaaaaaa"):
            revoke(settings, "a" * 12)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (KeyOptions(None, "admin", "", None, None), "add --org NAME"),
        (KeyOptions("acme", "operator", "", None, None), "viewer, editor, admin, not operator"),
        (KeyOptions("acme", "root", "", None, None), "not root"),
        (KeyOptions("acme", None, "", None, "soon"), "12h, 90d or 4w"),
        (KeyOptions("acme", None, "", "ann", None), "acme has no user ann"),
    ],
)
def test_what_cannot_be_made_is_said(settings: Settings, options: KeyOptions, says: str) -> None:
    with pytest.raises(OperatorError, match=says):
        create(settings, options)


def test_what_is_exported_can_be_applied_again(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "registry.yaml"
    path.write_text(FILE)
    with registry_agent(settings):
        assert [a.outcome for a in apply_file(settings, path, "me", print)] == ["created"]
        assert printed(settings, "registry", "export") == FILE
        for org_id, as_json in ((None, False), ("acme", True)):
            path.write_text(export_text(settings, org_id, as_json))
            assert [a.outcome for a in apply_file(settings, path, "me", print)] == ["unchanged"]
        with pytest.raises(OperatorError, match="nothing of an organisation named nobody"):
            export_text(settings, "nobody", as_json=False)
