"""Model providers, by name. One file each; a provider's libraries are loaded when it is first used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from pydantic import SecretStr

from trunkline.errors import ProviderFailed
from trunkline.runtime.definition import AgentDefinition

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from trunkline.settings import Settings

_log = logging.getLogger(__name__)


class Provider(Protocol):
    """Makes chat models of one kind, and explains their failures."""

    async def start(self) -> None:
        """Start what a first turn would have to wait for.

        Raises:
            ProviderFailed: it is not installed, or cannot be started.
        """
        ...

    async def chat_model(self, definition: AgentDefinition, api_key: SecretStr | None) -> BaseChatModel:
        """A model ready to stream one answer.

        Raises:
            ProviderFailed: a key is missing, or the model does not exist or cannot be started.
        """
        ...

    def explain(self, definition: AgentDefinition, error: Exception, api_key: SecretStr | None) -> ProviderFailed:
        """One bounded sentence about `error`, without any secret; `api_key` is the one given to `chat_model`."""
        ...

    async def close(self) -> None:
        """Release connections and processes."""
        ...


class ProviderRegistry:
    """The providers that this server knows. Each is made on first use and kept."""

    def __init__(self, factories: Mapping[str, Callable[[], Provider]]) -> None:
        self._factories = dict(factories)
        self._providers: dict[str, Provider] = {}
        self.faults: dict[str, str] = {}
        """Providers that could not be loaded, each with a sentence. The others work."""

    def get(self, definition: AgentDefinition) -> Provider:
        """The provider that the definition names.

        Raises:
            ProviderFailed: there is none of that name, or it can't be loaded; another one is never taken instead.
        """
        if definition.provider not in self._factories:
            known = ", ".join(sorted(self._factories))
            raise ProviderFailed(
                f"Agent '{definition.name}' uses the provider '{definition.provider[:60]}', which this server does "
                f"not know. Choose one of: {known}."
            )
        return self._load(definition.provider)

    async def start(self, names: Collection[str]) -> None:
        """Start these providers. One that cannot start tells its reason in the log, and again to each turn."""
        for name in names:
            try:
                await self._load(name).start()
            except ProviderFailed as failure:
                _log.warning("%s", failure.detail)
            except Exception:  # noqa: BLE001  whatever it is, it must not keep the others from starting
                _log.exception("The provider %s can't be started", name)

    def load_all(self) -> None:
        """Import and make every provider now, so that no first turn waits for it. `faults` says which can't be."""
        for name in self._factories:
            with suppress(ProviderFailed):
                self._load(name)

    async def close(self) -> None:
        """Close every provider that was made."""
        while self._providers:
            _, provider = self._providers.popitem()
            await provider.close()

    def _load(self, name: str) -> Provider:
        provider = self._providers.get(name)
        if provider is None:
            provider = self._providers.setdefault(name, self._make(name))
        return provider

    def _make(self, name: str) -> Provider:
        try:
            provider = self._factories[name]()
        except Exception as error:
            if name not in self.faults:
                _log.exception("The provider %s can't be loaded", name)
            self.faults[name] = f"The provider '{name}' can't be loaded on this server, which has logged why."
            raise ProviderFailed(self.faults[name]) from error
        self.faults.pop(name, None)
        return provider


def standard_providers(settings: Settings) -> ProviderRegistry:
    """The providers of this release: `local`, `openai` and `scripted`.

    Raises:
        SetupError: TRUNKLINE_OUTGOING_ALLOW can't be read.
    """
    from trunkline.outgoing import OutgoingPolicy  # noqa: PLC0415  loads httpx2

    policy = OutgoingPolicy(allow=settings.outgoing.allowed())

    def local() -> Provider:
        from trunkline.runtime.providers.local import LocalProvider  # noqa: PLC0415  loads LangChain

        return LocalProvider()

    def openai() -> Provider:
        from trunkline.runtime.providers.openai import OpenAIProvider  # noqa: PLC0415  loads LangChain

        return OpenAIProvider(
            base_url=settings.models.openai_base_url,
            api_key=settings.models.openai_api_key,
            policy=policy,
        )

    def scripted() -> Provider:
        from trunkline.runtime.providers.scripted import ScriptedProvider  # noqa: PLC0415  loads LangChain

        return ScriptedProvider()

    return ProviderRegistry({"local": local, "openai": openai, "scripted": scripted})
