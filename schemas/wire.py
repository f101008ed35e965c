"""The wire codec: Avro in the Confluent format (0x00, 4-byte big-endian schema id, body)."""

import io
import struct
from collections.abc import Mapping
from typing import Any

import fastavro
from fastavro.read import SchemaResolutionError

from schemas.catalog import SchemaCatalog
from schemas.errors import MalformedMessage, UnknownSchema

MAGIC = 0
HEADER = struct.Struct(">bI")
HEADER_BYTES = HEADER.size
NOT_AVRO = (
    ValueError,
    TypeError,
    IndexError,
    EOFError,
    OverflowError,
    StopIteration,
    SchemaResolutionError,
)
"""What fastavro raises for bytes that do not fit the schema; bad UTF-8 is a ValueError."""


def schema_id_of(payload: bytes) -> int:
    """The writer schema's id. Raises MalformedMessage when there is no header."""
    if len(payload) < HEADER_BYTES or payload[0] != MAGIC:
        raise MalformedMessage("the message does not start with byte 0 and a 4-byte schema id")
    _, schema_id = HEADER.unpack_from(payload)
    return int(schema_id)


class Codec:
    """Encodes and decodes single messages. For batches of events see streams.decode."""

    def __init__(self, catalog: SchemaCatalog) -> None:
        self.catalog = catalog

    def encode(self, record: str, value: Mapping[str, Any]) -> bytes:
        """`value` under the newest schema of `record`.

        Raises MalformedMessage when it does not fit.
        """
        writer = self.catalog.newest(record)
        out = io.BytesIO()
        out.write(HEADER.pack(MAGIC, writer.schema_id))
        try:
            fastavro.schemaless_writer(out, writer.parsed, value)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise MalformedMessage(f"the value does not fit {record}: {error!r}") from error
        return out.getvalue()

    def decode(self, payload: bytes, record: str) -> dict[str, Any]:
        """The value, resolved to the newest schema of `record`.

        A value whose type is one of several records comes as (full name, mapping).

        Raises UnknownSchema for an id nobody registered, MalformedMessage for anything else.
        """
        writer = self.catalog.by_id(schema_id_of(payload))
        if writer is None:
            raise UnknownSchema(f"schema id {schema_id_of(payload)} is not known")
        if writer.record != record:
            raise MalformedMessage(f"expected {record}, found {writer.record}")
        body = io.BytesIO(payload)
        body.seek(HEADER_BYTES)
        reader = self.catalog.newest(record)
        try:
            value = fastavro.schemaless_reader(
                body,
                writer.parsed,
                reader.parsed,
                return_record_name=True,
                return_record_name_override=True,
            )
        except NOT_AVRO as error:
            raise MalformedMessage(f"the body is not {record}: {error!r}") from error
        if body.tell() != len(payload):
            raise MalformedMessage(f"{len(payload) - body.tell()} bytes follow the {record}")
        if not isinstance(value, dict):
            raise MalformedMessage(f"{record} is not a record")
        return value
