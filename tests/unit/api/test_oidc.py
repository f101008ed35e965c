"""Bearer tokens of an OIDC provider: signed by its keys, for our audience, of users we know."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from api import oidc
from api.config import OidcConfig
from api.oidc import KeysUnknown, TokenRefused, Verifier
from schemas.entities import User
from tests.support.api import UNLIMITED, Api

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ISSUER, AUDIENCE = "https://id.example", "rheostat"


def published() -> dict[str, Any]:
    public = json.loads(RSAAlgorithm.to_jwk(KEY.public_key()))
    return {"keys": [{**public, "kid": "k1", "alg": "RS256", "use": "sig"}]}


def token(key: Any = KEY, kid: str = "k1", algorithm: str = "RS256", **claims: Any) -> str:
    now = datetime.now(UTC)
    good: Mapping[str, Any] = {
        "sub": "sub-1",
        "iss": ISSUER,
        "aud": AUDIENCE,
        "exp": now + timedelta(minutes=5),
    }
    given = {name: v for name, v in {**good, **claims}.items() if v is not None}
    return jwt.encode(given, key, algorithm, {"kid": kid})


@pytest.fixture
def config(tmp_path: Path) -> OidcConfig:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(published()))
    return OidcConfig(ISSUER, AUDIENCE, jwks_file=file)


def test_a_token_of_a_known_user_opens_what_the_user_may(config: OidcConfig) -> None:
    user = User("acme", "ann", "viewer", subject="sub-1")
    client = Api(user, config=replace(UNLIMITED, oidc=config)).client()
    client.headers["Authorization"] = f"Bearer {token()}"
    found = client.get("/me/").json()
    assert (found["name"], found["org_id"], found["role"]) == ("user:ann", "acme", "viewer")
    client.headers["Authorization"] = f"Bearer {token(sub='sub-2')}"
    answer = client.get("/me/")
    assert (answer.status_code, "no user has this subject" in answer.text) == (401, True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": OTHER},
        {"aud": "another"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"exp": datetime(2020, 1, 1, tzinfo=UTC)},
        {"exp": None},
        {"sub": None},
        {"kid": "k2"},
        {"key": "a shared secret that is long enough to be one", "algorithm": "HS256"},
        {"key": "", "algorithm": "none"},
    ],
)
def test_any_other_token_is_refused(config: OidcConfig, wrong: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused):
        Verifier(config).subject(token(**wrong))


def test_strangers_cannot_make_us_ask_for_keys_again_and_again(
    config: OidcConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def get(url: str) -> Any:
        asked.append(url)
        return published() if url.endswith("keys") else {"jwks_uri": f"{ISSUER}/keys"}

    monkeypatch.setattr(oidc, "_get", get)
    now_s = [0.0]
    verifier = Verifier(replace(config, jwks_file=None), lambda: now_s[0])
    assert verifier.subject(token()) == "sub-1"
    assert asked == [f"{ISSUER}/.well-known/openid-configuration", f"{ISSUER}/keys"]
    for _ in range(5):
        with pytest.raises(TokenRefused):
            verifier.subject(token(kid="unknown"))
    assert len(asked) == 2
    now_s[0] = 31.0
    with pytest.raises(TokenRefused):
        verifier.subject(token(kid="unknown"))
    assert len(asked) == 4


def test_while_the_provider_is_away_nobody_is_refused(tmp_path: Path) -> None:
    missing = OidcConfig(ISSUER, AUDIENCE, jwks_file=tmp_path / "none.json")
    with pytest.raises(KeysUnknown):
        Verifier(missing).subject(token())
    client = Api(config=replace(UNLIMITED, oidc=missing)).client()
    answer = client.get("/me/", headers={"Authorization": f"Bearer {token()}"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
