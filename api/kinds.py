"""The kinds of entities as the API shows them: addresses and models of bodies, made from the
entities themselves, so that no field is written down twice."""

import dataclasses
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from api.examples import EXAMPLES
from schemas.entities import (
    AbTest,
    Alias,
    Entity,
    Model,
    ModelCapability,
    Organisation,
    SelectionPolicy,
    User,
)
from schemas.suites import Dataset, Suite

READ_ONLY = ("meta", "status_now", "aliases", "measured")
"""What answers hold beside the entity; ignored in bodies, so that an answer can be sent back."""


class Input(BaseModel):
    """A body that holds an entity. Unknown fields are mistakes, at any depth."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_read_only(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: v for name, v in value.items() if name not in READ_ONLY}
        return value


class Meta(BaseModel):
    """What the registry knows about the entity. `version` is the one that If-Match expects."""

    key: str = Field(examples=["acme/model/small/1"])
    version: int = Field(examples=[4])
    author: str = Field(examples=["key:k3m5zq7wxyab"])
    accepted_at: datetime
    deleted: bool


@dataclass(frozen=True, slots=True)
class Kind:
    """`ids`: the fields that address one, beside its organisation; the last one names it in its
    collection. `slashes`: its name may hold some. `reserved`: names that are addresses already.
    `owner`: of a collection below something, whose entities say that this is there; left out: the
    collection's own."""

    cls: type[Entity]
    path: str
    noun: str
    ids: Sequence[str]
    slashes: bool = False
    reserved: Sequence[str] = ()
    owner: type[Entity] | None = None
    extras: dict[str, Any] = field(default_factory=dict)

    @property
    def collection(self) -> str:
        """The path of the list."""
        return self.path

    @property
    def item(self) -> str:
        """The path of one."""
        name = f"{self.ids[-1]}:path" if self.slashes else self.ids[-1]
        return f"{self.path}{{{name}}}/"

    def key(self, org_id: str, ids: Sequence[str]) -> str:
        """The entity's key."""
        return "/".join((org_id, self.cls.kind, *ids))


ORGANISATIONS = Kind(Organisation, "/organisations/", "organisation", ("org_id",))
USERS = Kind(User, "/users/", "user", ("user_id",))
CAPABILITIES = Kind(ModelCapability, "/capabilities/", "capability", ("capability",), slashes=True)
VERSIONS = Kind(
    Model,
    "/models/{model_id}/versions/",
    "version",
    ("model_id", "model_version"),
    reserved=("search", "bulk"),
)
ALIASES = Kind(Alias, "/models/{model_id}/aliases/", "alias", ("model_id", "alias"), owner=Model)
AB_TESTS = Kind(AbTest, "/ab-tests/", "A/B test", ("ab_test_id",), reserved=("discoveries",))
SUITES = Kind(
    Suite,
    "/suites/{suite_id}/versions/",
    "suite",
    ("suite_id", "suite_version"),
)
DATASETS = Kind(
    Dataset,
    "/datasets/{dataset_id}/versions/",
    "dataset",
    ("dataset_id", "dataset_version"),
)
POLICIES = Kind(SelectionPolicy, "/policies/", "policy", ("capability",), slashes=True)


def fields_of(cls: type[Entity]) -> dict[str, tuple[Any, Any]]:
    """Each field's type with its constraints, and its default or `...`."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {
        f.name: (hints[f.name], ... if f.default is dataclasses.MISSING else f.default)
        for f in dataclasses.fields(cls)
    }


def input_model(cls: type[Entity], optional: Sequence[str], suffix: str) -> type[Input]:
    """The body that makes an entity. `optional`: fields that the address may give instead."""
    fields = fields_of(cls)
    for name in optional:
        text = "As the address says." if name != "org_id" else "The caller's organisation."
        fields[name] = (fields[name][0] | None, Field(None, description=text))
    made: type[Input] = create_model(
        f"{cls.__name__}{suffix}",
        __base__=Input,
        __doc__=cls.__doc__,
        **typing.cast(Any, fields),
    )
    made.model_config["json_schema_extra"] = {"examples": [dict(EXAMPLES[cls.kind])]}
    made.model_rebuild(force=True)
    return made


def resource_model(cls: type[Entity], extras: dict[str, Any], without: Sequence[str] = ()) -> Any:
    """What answers hold, for the documentation."""
    fields = {name: kind for name, kind in fields_of(cls).items() if name not in without}
    return create_model(
        cls.__name__,
        __doc__=cls.__doc__,
        **typing.cast(Any, {**fields, **extras, "meta": (Meta, ...)}),
    )
