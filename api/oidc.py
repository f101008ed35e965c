"""Bearer tokens of an OIDC provider: verified by pyjwt against the provider's published keys."""

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import orjson
import structlog

from api.config import OidcConfig

KEPT_S = 3600.0
"""Keys are fetched again after this long."""
RETRY_S = 30.0
"""Between two fetches for a key that is not known, or after a failure: strangers choose key ids,
and must not choose how often we ask."""
TIMEOUT_S = 5.0
LEEWAY_S = 30.0
log = structlog.get_logger(__name__)


class TokenRefused(Exception):
    """The token is not one to trust. The text is for its holder."""


class KeysUnknown(Exception):
    """The provider's keys could not be read; the token may be right."""


class Verifier:
    """For any number of threads; `subject` may ask the network, so call it in a thread."""

    def __init__(
        self, config: OidcConfig, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = config
        self._monotonic_s = monotonic_s
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched_s: float | None = None
        self._tried_s: float | None = None
        self._lock = threading.Lock()

    def subject(self, token: str) -> str:
        """The `sub` of a token that the issuer signed for our audience and that has not expired.

        Raises TokenRefused, KeysUnknown.
        """
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in self._config.algorithms:
                raise TokenRefused("it is not signed in a way that is accepted here")
            claims = jwt.decode(
                token,
                self._key(header.get("kid")),
                algorithms=list(self._config.algorithms),
                audience=self._config.audience,
                issuer=self._config.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "sub", "iss", "aud"]},
            )
        except jwt.InvalidTokenError as error:
            raise TokenRefused(str(error)) from error
        return str(claims["sub"])

    def _key(self, key_id: str | None) -> jwt.PyJWK:
        with self._lock:
            now_s = self._monotonic_s()
            old = self._fetched_s is None or now_s - self._fetched_s > KEPT_S
            if (old or key_id not in self._keys) and self._may_try(now_s):
                self._tried_s = now_s
                self._fetch(now_s)
            found = self._keys.get(key_id)
            if found is not None:
                return found
            if key_id is None and len(self._keys) == 1:
                return next(iter(self._keys.values()))
            if self._fetched_s is None:
                raise KeysUnknown("the keys of the OIDC provider cannot be read now")
            raise TokenRefused("it is signed with a key that its issuer does not publish")

    def _may_try(self, now_s: float) -> bool:
        return self._tried_s is None or now_s - self._tried_s > RETRY_S

    def _fetch(self, now_s: float) -> None:
        try:
            found = jwt.PyJWKSet.from_dict(self._published())
        except (httpx.HTTPError, OSError, ValueError, jwt.PyJWKSetError) as error:
            log.warning("keys of the OIDC provider not read", error=str(error))
            return
        self._keys = {key.key_id: key for key in found.keys}
        self._fetched_s = now_s

    def _published(self) -> dict[str, Any]:
        config = self._config
        if config.jwks_file is not None:
            found: Any = orjson.loads(config.jwks_file.read_bytes())
        else:
            url = config.jwks_url or self._discovered()
            found = _get(url)
        if not isinstance(found, dict):
            raise ValueError("the key set is no JSON object")
        return found

    def _discovered(self) -> str:
        url = f"{self._config.issuer.rstrip('/')}/.well-known/openid-configuration"
        return str(_get(url)["jwks_uri"])


def _get(url: str) -> Any:
    answer = httpx.get(url, timeout=TIMEOUT_S, follow_redirects=False)
    answer.raise_for_status()
    return answer.json()
