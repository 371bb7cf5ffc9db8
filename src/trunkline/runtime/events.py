"""What a running turn tells. Failures are raised, as `ProviderFailed`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The whole answer and what it took. The last event of a turn that succeeded."""

    text: str
    input_tokens: int
    output_tokens: int
    estimated: bool
    """True where the provider reported no usage and the token counts are a guess from the text's length."""
    model: str
    """The model that answered, as the provider names it."""
    finish_reason: str
    """The provider's word for why the answer ended: `stop`, or `length` at the limit of tokens."""
    latency_ms: int
    """From the start of the turn to the last token, in milliseconds."""
    first_token_ms: int
    """From the start of the turn to the first token, in milliseconds."""


RuntimeEvent = TextDelta | Finished
