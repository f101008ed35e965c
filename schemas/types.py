"""The kinds of names and numbers that entities are made of, with their limits.

Limits are checked where values enter (`schemas.convert.from_record`, the registry file, the API),
not when code builds a value.
"""

from typing import Annotated

from pydantic import Field, StringConstraints

from schemas.reasons import MAX_TEXT_BYTES

Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_TEXT_BYTES, pattern=r"^[^\x00-\x1f/]+$"),
]
"""An identifier: not empty, no control characters and no slash (slashes join keys)."""
Capability = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_TEXT_BYTES, pattern=r"^[^\x00-\x1f]+$")
]
MetricName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{0,63}$")]
Feature = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
"""Something a model can do on request, such as tools, json_schema, streaming, vision."""
Tag = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:=-]{0,63}$")]
Label = Annotated[str, StringConstraints(max_length=MAX_TEXT_BYTES, pattern=r"^[^\x00-\x1f]*$")]
"""One line of text for people; may be empty."""
StopText = Annotated[str, StringConstraints(max_length=MAX_TEXT_BYTES)]
"""Where an answer is to end: often the end of a line, so control characters are allowed."""
Prose = Annotated[str, StringConstraints(max_length=4000)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
UsdPerMtok = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
"""Bounded so that the cost of the most tokens a call may have fits 64-bit nano-dollars."""
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=2**53)]
"""Of something there is at least one of. Exact in JSON."""
