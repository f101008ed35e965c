"""What the API can be told, as a value: infra makes it from the settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class OidcConfig:
    """Whose tokens count. Keys come from `jwks_url`, fetched and kept, or from `jwks_file`.

    `jwks_url` None and `jwks_file` None: as the issuer's discovery document says.
    """

    issuer: str
    audience: str
    jwks_url: str | None = None
    jwks_file: Path | None = None
    algorithms: Sequence[str] = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """Rates are texts such as 300/second, of one process; '' is no limit."""

    max_body_bytes: int = 2 * 1024 * 1024
    body_timeout_s: float = 30.0
    rate_per_caller: str = "500/second"
    rate_per_stranger: str = "20/second"
    cors_origins: Sequence[str] = ()
    oidc: OidcConfig | None = None
    write_timeout_s: float = 15.0
    concurrent_writes: int = 64
    concurrent_queries: int = 8
