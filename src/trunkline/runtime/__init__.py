"""The agent at work: definitions in, events out. Only this package knows LangGraph and LangChain."""

from trunkline.runtime.agent import AgentRuntime
from trunkline.runtime.definition import DRAFT_VERSION, AgentDefinition, HistoryMessage, TurnInput
from trunkline.runtime.events import Finished, RuntimeEvent, TextDelta
from trunkline.runtime.providers import Provider, ProviderRegistry, standard_providers

__all__ = [
    "DRAFT_VERSION",
    "AgentDefinition",
    "AgentRuntime",
    "Finished",
    "HistoryMessage",
    "Provider",
    "ProviderRegistry",
    "RuntimeEvent",
    "TextDelta",
    "TurnInput",
    "standard_providers",
]
