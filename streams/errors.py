"""Errors of the data lane.

StreamError
├── BatchAborted     the transaction was aborted; the batch is read again from the committed offsets
├── WorkerStopped    something that a restart of the process has to cure
├── ViewNotLoaded    the registry topic could not be read to its end in time
├── ViewFailed       the registry topic is no longer followed: the facts at hand grow stale
└── ReplayFailed     a dead letter was not put back, or it is not known; repeat the same call
"""


class StreamError(Exception):
    """Root of everything this package raises."""


class BatchAborted(StreamError):
    """Nothing of the batch took effect; reading goes on at the committed offsets."""


class WorkerStopped(StreamError):
    """The worker cannot go on in this process; a supervisor should start it again."""


class ViewNotLoaded(StreamError):
    """The registry topic could not be read to its end in time."""


class ViewFailed(StreamError):
    """The thread that follows the registry topic died; its error is the cause."""


class ReplayFailed(StreamError):
    """Kafka did not answer in the middle of a replay, or another process replays: nothing is half
    done, and the same call may be made again."""
