"""What models are evaluated on: datasets whose cases never change, suites that ask and score."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from schemas.types import (
    Capability,
    Count,
    Label,
    MetricName,
    Name,
    NonNegative,
    Positive,
    Prose,
    StopText,
    Tag,
)

TaskKind = Literal["generation", "code", "qa", "summarisation", "classification", "custom"]
Reducer = Literal["mean", "median", "max", "mode", "pass_at_k", "pass_k"]
PromptRole = Literal["system", "user", "assistant"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Template = Annotated[str, StringConstraints(max_length=100_000)]
JsonObject = Annotated[str, StringConstraints(max_length=100_000, pattern=r"^\s*\{")]
"""A JSON object as text, such as '{"tolerance": 0.01}'."""


@dataclass(frozen=True, slots=True)
class Split:
    """A named part of a dataset, and how many cases it has."""

    split: Name
    cases: Count


@dataclass(frozen=True, slots=True)
class Dataset:
    """One immutable version of a dataset. Its cases are on evaluation-datasets.

    `content_sha256`: of all cases in their order, so that a reader knows that it has them whole.
    `fields`: the names that every case has.
    """

    kind: ClassVar[str] = "dataset"

    org_id: Name
    dataset_id: Name
    dataset_version: Name
    content_sha256: Sha256
    cases: Count
    fields: tuple[Label, ...]
    splits: tuple[Split, ...] = ()
    tags: tuple[Tag, ...] = ()
    source: Prose = ""
    licence: Label = ""
    description: Prose = ""

    @property
    def key(self) -> str:
        return f"{self.org_id}/{self.kind}/{self.dataset_id}/{self.dataset_version}"


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """One message of a prompt: as a template with {variables}, or as it is sent."""

    role: PromptRole
    content: Template


@dataclass(frozen=True, slots=True)
class GenerationParameters:
    """What is asked of the model besides the prompt; None: the endpoint's own default.

    `extra`: further fields of the request body, as a JSON object.
    """

    temperature: NonNegative | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_output_tokens: Count | None = None
    seed: int | None = None
    stop: tuple[StopText, ...] = ()
    extra: JsonObject = "{}"


@dataclass(frozen=True, slots=True)
class ScorerUse:
    """A scorer as a suite uses it. `threshold`: the least value that passes; None: none applies.

    `metric`: the name its value goes by; None: the scorer's own. `weight`: in the weighted mean.
    """

    scorer: Name
    weight: NonNegative = 1.0
    threshold: float | None = None
    metric: MetricName | None = None
    options: JsonObject = "{}"


@dataclass(frozen=True, slots=True)
class Suite:
    """One version of a benchmark suite: how the cases of a dataset are asked and scored.

    `examples`: few-shot turns between the system message and the case's own, templates too.
    `pass_threshold`: of the weighted mean; None: a case passes when every scorer's threshold does.
    `reducer_k`: for pass_at_k and pass_k.
    """

    kind: ClassVar[str] = "suite"

    org_id: Name
    suite_id: Name
    suite_version: Name
    capability: Capability
    task_kind: TaskKind
    dataset_id: Name
    dataset_version: Name
    prompt: Annotated[tuple[PromptMessage, ...], Field(min_length=1)]
    scorers: Annotated[tuple[ScorerUse, ...], Field(min_length=1)]
    split: Name | None = None
    examples: tuple[PromptMessage, ...] = ()
    parameters: GenerationParameters = GenerationParameters()
    pass_threshold: float | None = None
    epochs: Annotated[int, Field(ge=1, le=1000)] = 1
    reducer: Reducer = "mean"
    reducer_k: Annotated[int, Field(ge=1, le=1000)] | None = None
    case_timeout_s: Positive = 120.0
    tags: tuple[Tag, ...] = ()
    owner: Label = ""
    description: Prose = ""

    @property
    def key(self) -> str:
        return f"{self.org_id}/{self.kind}/{self.suite_id}/{self.suite_version}"
