"""OpenAI, and any server that speaks its protocol, by base URL and key."""

from __future__ import annotations

from urllib.parse import urlsplit

from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from trunkline.errors import ProviderFailed
from trunkline.outgoing import OutgoingPolicy
from trunkline.runtime.definition import AgentDefinition
from trunkline.runtime.providers.openai_protocol import explain, protocol_client, protocol_model

OPENAI_HOST = "api.openai.com"


class OpenAIProvider:
    """Models behind OpenAI's protocol.

    The operator's key belongs to the operator's base URL and is sent nowhere else: an agent with a base URL of its
    own needs a key of its own.
    """

    def __init__(self, *, base_url: str, api_key: SecretStr | None, policy: OutgoingPolicy) -> None:
        self._base_url = base_url
        self._api_key = api_key
        self._agents_client = protocol_client(policy)
        # The operator chose this address, so it may be a private one.
        self._operators_client = protocol_client(_also_allow(policy, base_url))

    async def start(self) -> None:
        """There is nothing to start."""

    async def chat_model(self, definition: AgentDefinition, api_key: SecretStr | None) -> BaseChatModel:
        """A model of the definition's base URL, or of the operator's.

        Raises:
            ProviderFailed: there is no key, or one that cannot be a key.
        """
        key = self._key(definition, api_key)
        if key is None:
            raise ProviderFailed(_no_key(definition))
        if not key.get_secret_value().isascii() or not key.get_secret_value().isprintable():
            raise ProviderFailed(
                f"The API key of agent '{definition.name}' has characters that no key has, perhaps a line break. "
                "Store it again."
            )
        base_url = definition.base_url or self._base_url
        client = self._agents_client if definition.base_url else self._operators_client
        # Only OpenAI itself insists on the newer name of the limit; other servers may know only the older one.
        limit = "max_completion_tokens" if urlsplit(base_url).hostname == OPENAI_HOST else "max_tokens"
        return protocol_model(
            ChatOpenAI,
            definition,
            base_url=base_url,
            api_key=key,
            client=client,
            extra_body={limit: definition.max_tokens},
        )

    def explain(self, definition: AgentDefinition, error: Exception, api_key: SecretStr | None) -> ProviderFailed:
        """One bounded sentence about `error`, without the key."""
        host = urlsplit(definition.base_url or self._base_url).netloc.rpartition("@")[2]
        who = (
            f"Agent '{definition.name}' got no whole answer: {definition.provider} model '{definition.model[:60]}' "
            f"at {host[:100]}"
        )
        return explain(who, error, self._key(definition, api_key))

    async def close(self) -> None:
        """Close all connections."""
        await self._agents_client.aclose()
        await self._operators_client.aclose()

    def _key(self, definition: AgentDefinition, api_key: SecretStr | None) -> SecretStr | None:
        key = api_key or (None if definition.base_url else self._api_key)
        return key if key and key.get_secret_value() else None


def _no_key(definition: AgentDefinition) -> str:
    if definition.base_url:
        return (
            f"Agent '{definition.name}' has a base URL of its own, and no API key for it. "
            "Add one: trunkline credentials add (a server that wants no key takes any text)."
        )
    return (
        f"Agent '{definition.name}' uses the provider {definition.provider}, which has no API key. "
        "Add one: trunkline credentials add, or set TRUNKLINE_MODELS_OPENAI_API_KEY for all agents."
    )


def _also_allow(policy: OutgoingPolicy, base_url: str) -> OutgoingPolicy:
    url = urlsplit(base_url)
    port = url.port or (80 if url.scheme == "http" else 443)
    host = f"[{url.hostname}]" if url.hostname and ":" in url.hostname else url.hostname
    return OutgoingPolicy(
        allow=policy.allow | {f"{host}:{port}"},
        max_response_bytes=policy.max_response_bytes,
        connect_timeout_s=policy.connect_timeout_s,
        read_timeout_s=policy.read_timeout_s,
    )
