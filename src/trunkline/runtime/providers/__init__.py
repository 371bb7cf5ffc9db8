"""Model providers, by name. One file each; a provider's libraries are loaded when it is first used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from pydantic import SecretStr

from trunkline.errors import ProviderFailed
from trunkline.runtime.definition import AgentDefinition

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


class Provider(Protocol):
    """Makes chat models of one kind, and explains their failures."""

    async def chat_model(self, definition: AgentDefinition, api_key: SecretStr | None) -> BaseChatModel:
        """A model ready to stream one answer.

        Raises:
            ProviderFailed: a key is missing, or the model does not exist or cannot be started.
        """
        ...

    def explain(self, definition: AgentDefinition, error: Exception) -> ProviderFailed:
        """One bounded sentence about `error`, without any secret."""
        ...

    async def close(self) -> None:
        """Release connections and processes."""
        ...


class ProviderRegistry:
    """The providers that this server knows. Each is made on first use and kept."""

    def __init__(self, factories: Mapping[str, Callable[[], Provider]]) -> None:
        self._factories = dict(factories)
        self._providers: dict[str, Provider] = {}

    def get(self, definition: AgentDefinition) -> Provider:
        """The provider that the definition names.

        Raises:
            ProviderFailed: there is no provider of that name; another one is never taken instead.
        """
        name = definition.provider
        if name not in self._factories:
            known = ", ".join(sorted(self._factories))
            raise ProviderFailed(
                f"Agent '{definition.name}' uses the provider '{name[:60]}', which this server does not know. "
                f"Choose one of: {known}."
            )
        return self._load(name)

    def load_all(self) -> None:
        """Import and make every provider now, so that no first turn waits for it."""
        for name in self._factories:
            self._load(name)

    async def close(self) -> None:
        """Close every provider that was made."""
        while self._providers:
            _, provider = self._providers.popitem()
            await provider.close()

    def _load(self, name: str) -> Provider:
        provider = self._providers.get(name)
        if provider is None:
            provider = self._providers.setdefault(name, self._factories[name]())
        return provider
