"""One entity of every kind with every field set."""

from schemas.entities import (
    AbTest,
    Alias,
    ApiKey,
    Arm,
    CapabilityLevel,
    Endpoint,
    Entity,
    KeyUse,
    MetricGoal,
    Model,
    ModelCapability,
    Organisation,
    Price,
    RateLimits,
    SelectionPolicy,
    User,
)
from tests.support.commands import NOW

TEST = AbTest(
    "acme",
    "sizes",
    "chat",
    "user",
    (Arm("a", "small"), Arm("b", "large", 2.0, "7")),
    "a",
    (MetricGoal("quality", "primary", "higher", 0.1),),
)
MODEL = Model(
    "acme",
    "small",
    "1",
    "us",
    ("chat", "code"),
    "deprecated",
    (Price(NOW, 1, 2, 0.5, NOW.replace(year=2027)),),
    "Small",
    Endpoint("https://models.example/v1", "openai-chat", "env:KEY"),
    "multimodal",
    128_000,
    4_096,
    ("tools", "vision"),
    (CapabilityLevel("chat", "expert"),),
    RateLimits(60, None, 4),
    NOW,
    ("eu", "team:x"),
    "ann",
    "private",
    "what it is\nand is not",
)
FULL: tuple[Entity, ...] = (
    MODEL,
    TEST,
    SelectionPolicy("acme", "chat", fallback=("small",)),
    Alias("acme", "small", "champion", "1", "sizes"),
    ModelCapability("acme", "code/python", "code", ("tools",), "Python", "…"),
    Organisation("acme", "Acme", "suspended", True, "…"),
    User("acme", "ann", "admin", "Ann", "ann@acme.example", "sub-1", "suspended"),
    ApiKey("acme", "abcdefghijkl", "viewer", "0" * 64, NOW, "ci", "ann", NOW, NOW),
    KeyUse("acme", "abcdefghijkl", NOW),
)
