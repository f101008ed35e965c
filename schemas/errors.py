"""Errors of the contract.

ContractError
├── UnknownSchema      no schema with that id or record name
├── IncompatibleSchema a schema that earlier readers or writers cannot be resolved with
├── MalformedMessage   bytes that are not what their schema says
└── RegistryUnavailable  the schema registry did not answer; try again
"""


class ContractError(Exception):
    """Root of everything this package raises."""


class UnknownSchema(ContractError):
    """No schema is known under that id or name."""


class IncompatibleSchema(ContractError):
    """A schema cannot be resolved with the versions before it."""


class MalformedMessage(ContractError):
    """The bytes are not a message in the wire format, or not of their schema."""


class RegistryUnavailable(ContractError):
    """The schema registry could not be asked. Nothing is wrong with the message: try again."""
