"""What the endpoints of metrics answer."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

EXAMPLE: dict[str, Any] = {
    "at": "2026-11-24T12:00:00Z",
    "model_id": "small",
    "model_version": "3",
    "metric": "latency_ms",
    "n": 1200,
    "mean": 412.7,
    "lower": 404.2,
    "upper": 421.2,
    "reason": None,
    "total": 495240.0,
    "minimum": 91.0,
    "maximum": 2950.4,
    "p50": 377.1,
    "p90": 702.9,
    "p95": 864.0,
    "p99": 1391.5,
}
DIFFERENCE: dict[str, Any] = {
    "at": None,
    "metric": "quality",
    "base": "small",
    "other": "large",
    "n_base": 1200,
    "n_other": 1100,
    "difference": 0.041,
    "lower": 0.012,
    "upper": 0.07,
    "p_value": 0.0058,
    "reason": None,
}


class Summary(BaseModel):
    """One metric of a model. What has no estimate is null, and `reason` says why."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    at: datetime | None = Field(description="Where the step begins; null: the whole stretch.")
    model_id: str
    model_version: str | None = Field(description="null: all versions together.")
    metric: str
    n: int = Field(description="Values.")
    mean: float | None
    lower: float | None = Field(description="The mean's interval at level 1 - alpha, at one look.")
    upper: float | None
    reason: str | None = Field(description="Why there is no interval.")
    total: float | None = Field(description="Of cost_usd exact to the nano-dollar.")
    minimum: float | None
    maximum: float | None
    p50: float | None = Field(description="Quantiles are within 1 %.")
    p90: float | None
    p95: float | None
    p99: float | None


SUMMARY_COLUMNS: dict[str, type] = {
    "at": datetime,
    "model_id": str,
    "model_version": str,
    "metric": str,
    "n": int,
    "mean": float,
    "lower": float,
    "upper": float,
    "reason": str,
    "total": float,
    **dict.fromkeys(("minimum", "maximum", "p50", "p90", "p95", "p99"), float),
}


class About(BaseModel):
    """What was asked, as it was read."""

    model_config = ConfigDict(populate_by_name=True)

    model_id: str = Field(examples=["small"])
    source: Literal["production", "evaluation"]
    capability: str | None = Field(description="null: all together.", examples=["chat"])
    since: datetime = Field(alias="from", description="Rounded outwards to what can be read.")
    until: datetime = Field(alias="to")
    step_s: int | None = Field(alias="step", description="Seconds; null: not cut.")
    resolution: Literal["pane", "hour"] = Field(description="What it was read from.")
    watermark: datetime | None = Field(
        description="Up to where calls of these models are counted; later ones may still be under "
        "way, and late ones still change what is before it."
    )
    alpha: float = Field(examples=[0.05])


class Metrics(About):
    """Metrics of a model. A step without values has no point: missing is not zero."""

    points: list[Summary]


class Difference(BaseModel):
    """Another model against the base: other - base, as if both had served the same traffic."""

    model_config = ConfigDict(json_schema_extra={"example": DIFFERENCE})

    at: datetime | None
    metric: str
    base: str
    other: str
    n_base: int
    n_other: int
    difference: float | None
    lower: float | None
    upper: float | None
    p_value: float | None = Field(description="Of no difference, at one look.")
    reason: str | None = Field(description="Why there is no interval.")


DIFFERENCE_COLUMNS: dict[str, type] = {
    "at": datetime,
    "metric": str,
    "base": str,
    "other": str,
    "n_base": int,
    "n_other": int,
    **dict.fromkeys(("difference", "lower", "upper", "p_value"), float),
    "reason": str,
}


class Compared(About):
    """Models side by side. CSV and Arrow hold the differences."""

    caution: str
    points: list[Summary]
    differences: list[Difference]
