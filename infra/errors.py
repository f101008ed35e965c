"""Errors that a user of the command line sees as one sentence, without a traceback.

OperatorError            something outside has to change: says what, why and what to do
├── PortTaken            somebody else listens there
├── NotReachable         a server does not answer now; it may later
├── NotReady             a server did not become ready in time
└── BrokenDownload       a jar is not the one that was locked
"""


class OperatorError(Exception):
    """What happened, why, and what to do about it."""


class PortTaken(OperatorError):
    """A port is in use."""


class NotReachable(OperatorError):
    """A server does not answer now."""


class NotReady(OperatorError):
    """A server did not become ready in time."""


class BrokenDownload(OperatorError):
    """A downloaded file does not have the locked checksum."""
