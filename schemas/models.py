"""What the registry knows of models: their versions, aliases and the vocabulary of capabilities."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, StringConstraints

from schemas.types import Capability, Count, Feature, Label, Name, Prose, Tag, UsdPerMtok

ModelStatus = Literal["draft", "active", "deprecated", "retired"]
Modality = Literal["text", "image", "audio", "video", "embedding", "multimodal"]
Level = Literal["basic", "proficient", "advanced", "expert"]
Visibility = Literal["private", "organisation", "public"]
Moment = Annotated[datetime, AwareDatetime]
SecretRef = Annotated[
    str,
    StringConstraints(
        max_length=256, pattern=r"^(env|file|vault|k8s|aws|gcp|azure):[A-Za-z0-9_./#:@-]+$"
    ),
]
"""Where a secret is kept, such as env:OPENAI_API_KEY or vault:kv/models#key: never the secret."""
BaseUrl = Annotated[
    str, StringConstraints(max_length=1024, pattern=r"^https?://[^\s@/?#]+(/[^\s@?#]*)?$")
]
"""Without credentials, query or fragment: a secret has no place in it."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens, valid from `valid_from` until `valid_to`, at most until the next."""

    valid_from: Moment
    input_usd_per_mtok: UsdPerMtok
    output_usd_per_mtok: UsdPerMtok
    cached_input_usd_per_mtok: UsdPerMtok | None = None
    valid_to: Moment | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is called. `api_style`: whose protocol it speaks, such as openai-chat."""

    base_url: BaseUrl
    api_style: Name
    secret_ref: SecretRef | None = None


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What the provider allows; None: not known."""

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    concurrent_requests: Count | None = None


@dataclass(frozen=True, slots=True)
class CapabilityLevel:
    """How well a model is said to master a capability that it declares."""

    capability: Capability
    level: Level


@dataclass(frozen=True, slots=True)
class Model:
    """One version of a model as an organisation registered it.

    `retires_at`: the deprecation date. From then on the model counts as retired, whatever `status`
    says: always ask `status_at`.
    """

    kind: ClassVar[str] = "model"

    org_id: Name
    model_id: Name
    model_version: Name
    provider: Name
    capabilities: tuple[Capability, ...]
    status: ModelStatus = "active"
    prices: tuple[Price, ...] = ()
    name: Label = ""
    endpoint: Endpoint | None = None
    modality: Modality = "text"
    context_window_tokens: Count | None = None
    max_output_tokens: Count | None = None
    features: tuple[Feature, ...] = ()
    levels: tuple[CapabilityLevel, ...] = ()
    rate_limits: RateLimits | None = None
    retires_at: Moment | None = None
    tags: tuple[Tag, ...] = ()
    owner: Label = ""
    visibility: Visibility = "organisation"
    description: Prose = ""

    @property
    def key(self) -> str:
        return f"{self.org_id}/{self.kind}/{self.model_id}/{self.model_version}"

    def status_at(self, now: datetime) -> ModelStatus:
        """The status at `now`: a deprecation date that has come retires the model by itself."""
        if self.retires_at is not None and now >= self.retires_at:
            return "retired"
        return self.status

    def level_of(self, capability: str) -> Level | None:
        """The declared level; None when none is declared."""
        return next((item.level for item in self.levels if item.capability == capability), None)


@dataclass(frozen=True, slots=True)
class Alias:
    """A name, such as champion or challenger, that moves between the versions of a model.

    `ab_test_id`: the A/B test whose verdict speaks for the move.
    """

    kind: ClassVar[str] = "alias"

    org_id: Name
    model_id: Name
    alias: Name
    model_version: Name
    ab_test_id: Name | None = None

    @property
    def key(self) -> str:
        return f"{self.org_id}/{self.kind}/{self.model_id}/{self.alias}"


@dataclass(frozen=True, slots=True)
class ModelCapability:
    """A word of an organisation's vocabulary. Whoever masters the parent masters this one too.

    `required_features`: what a model must support to serve it, whatever it declares.
    """

    kind: ClassVar[str] = "capability"

    org_id: Name
    capability: Capability
    parent: Capability | None = None
    required_features: tuple[Feature, ...] = ()
    name: Label = ""
    description: Prose = ""

    @property
    def key(self) -> str:
        return f"{self.org_id}/{self.kind}/{self.capability}"
