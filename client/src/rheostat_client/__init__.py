"""Rheostat for agent systems: report what models did, and pick the model that serves next.

    with Reporter(config) as reporter, Selector(config, rules) as selector:
        choice = selector.choose("chat", unit_id=user)
        with reporter.inference(choice=choice, unit_id=user) as call:
            ...

`rheostat_client.openai` wraps OpenAI clients, `rheostat_client.opentelemetry` turns spans into
events; each needs the extra of its name.
"""

from rheostat_client.assign import Arm, Assignment, NotAssigned, assign
from rheostat_client.call import Call
from rheostat_client.choice import Choice, Source
from rheostat_client.config import Config
from rheostat_client.context import serving
from rheostat_client.errors import CallFinished, ClientError, InvalidValue, NoChoice
from rheostat_client.events import UNVERSIONED, InferenceEvent, InferenceHandle
from rheostat_client.explain import Explanation, Standing
from rheostat_client.fallback import Rule, Rules
from rheostat_client.outbox import Counts, DropReason
from rheostat_client.reporter import Reporter
from rheostat_client.requirements import Requirements
from rheostat_client.selector import Selector, SelectorOptions, Status

__all__ = [
    "UNVERSIONED",
    "Arm",
    "Assignment",
    "Call",
    "CallFinished",
    "Choice",
    "ClientError",
    "Config",
    "Counts",
    "DropReason",
    "Explanation",
    "InferenceEvent",
    "InferenceHandle",
    "InvalidValue",
    "NoChoice",
    "NotAssigned",
    "Reporter",
    "Requirements",
    "Rule",
    "Rules",
    "Selector",
    "SelectorOptions",
    "Source",
    "Standing",
    "Status",
    "assign",
    "serving",
]
