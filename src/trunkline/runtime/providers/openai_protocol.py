"""OpenAI's chat-completions protocol: a model that speaks it, and its failures in plain words."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar, cast

import httpx2
import openai
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from trunkline.errors import ProviderFailed
from trunkline.outgoing import OutgoingPolicy, OutgoingRefused, guarded_client
from trunkline.runtime.definition import AgentDefinition

_log = logging.getLogger(__name__)

Model = TypeVar("Model", bound=ChatOpenAI)

# OpenAI's library adds headers from the environment (organization, project, any it is told to) and about this
# machine. They are the operator's, and a base URL may be a stranger's: nothing but these is sent.
_SENT_HEADERS = frozenset(
    {"accept", "accept-encoding", "authorization", "connection", "content-length", "content-type", "host", "user-agent"}
)
_LONGEST_QUOTE = 200  # characters of a provider's own message
_HTTP_ERRORS: Mapping[int, str] = {
    401: "refused the API key",
    403: "does not allow this to the API key",
    404: "does not know this model, or this address",
    408: "did not answer in time",
    413: "finds the conversation too long",
    429: "accepts no more requests now: there were too many, or the quota is used up",
}


def protocol_client(policy: OutgoingPolicy) -> httpx2.AsyncClient:
    """A guarded client that sends no header but the protocol's, and leaves it to the caller to wait out a 429."""
    client = guarded_client(policy)
    client.event_hooks = {"request": [_keep_protocol_headers], "response": [_refuse_retry_when_limited]}
    return client


def protocol_model(
    kind: type[Model],
    definition: AgentDefinition,
    *,
    base_url: str,
    api_key: SecretStr,
    client: httpx2.AsyncClient,
    extra_body: Mapping[str, Any],
    **fields: Any,
) -> Model:
    """A chat model of class `kind` for one turn. `extra_body` are parameters that OpenAI's library does not know."""
    silence_s = definition.timeout_ms / 1000
    key = api_key.get_secret_value()
    sdk = openai.AsyncOpenAI(
        base_url=base_url,
        api_key=key,
        admin_api_key="",  # empty values, so that none is taken from the environment
        organization="",
        project="",
        default_headers={"Authorization": f"Bearer {key}"},
        http_client=client,
        timeout=httpx2.Timeout(silence_s + 1),  # the graph's own limit comes first
        max_retries=1,  # a kept connection may have been closed meanwhile
    )

    async def no_key() -> str:  # a callable, so that no client for synchronous use is made
        return ""

    body = dict(extra_body)
    if definition.response_format is not None:
        schema = {"name": "answer", "schema": dict(definition.response_format)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return kind(
        model=definition.model,
        temperature=definition.temperature,
        top_p=definition.top_p,
        reasoning_effort=definition.reasoning_effort,
        extra_body=body,
        base_url=base_url,
        api_key=no_key,
        async_client=sdk.chat.completions,
        root_async_client=sdk,
        stream_usage=True,
        stream_chunk_timeout=None,
        use_responses_api=False,
        **fields,
    )


def explain(who: str, error: Exception, secret: SecretStr | None) -> ProviderFailed:
    """`who` ("Agent 'X' got no whole answer: …") and what went wrong, in bounded length and without the key."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, OutgoingRefused):
            return ProviderFailed(f"{who} was not used. {cause.detail}")
    if isinstance(error, openai.APIStatusError):
        return _explain_status(who, error, secret)
    if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
        return ProviderFailed(f"{who} did not answer in time. Try again.")
    if any(isinstance(cause, httpx2.ConnectError) for cause in causes):
        return ProviderFailed(f"{who} cannot be reached. Check the base URL, and that a server answers there.")
    if isinstance(error, openai.APIConnectionError | httpx2.TransportError):
        return ProviderFailed(f"{who} broke off. Try again.")
    if isinstance(error, openai.APIError):
        return ProviderFailed(f"{who} reported a failure.{_quote(error, secret)}")
    if isinstance(error, httpx2.InvalidURL):
        return ProviderFailed(f"{who} has a base URL that is none. Write it as https://host/v1.")
    # Where, without the values: the text of an unknown error may hold anything.
    _log.error(
        "%s while reading an answer:\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__))
    )
    return ProviderFailed(f"{who} sent something that is no answer of OpenAI's protocol. Check the base URL.")


def _explain_status(who: str, error: openai.APIStatusError, secret: SecretStr | None) -> ProviderFailed:
    status = error.status_code
    if status < 400:
        return ProviderFailed(f"{who} redirects elsewhere (HTTP {status}), which is not followed. Check the base URL.")
    # A provider may repeat the key, in part or in another form, in the message about a refused key.
    quote = "" if status in {401, 403} else _quote(error, secret)
    if status >= 500:
        return ProviderFailed(f"{who} has a failure of its own (HTTP {status}). Try again.{quote}")
    what = _HTTP_ERRORS.get(status, "refused the request")
    retry_after_s = None
    with suppress(ValueError):
        retry_after_s = float(error.response.headers.get("Retry-After", ""))
    return ProviderFailed(f"{who} {what} (HTTP {status}).{quote}", retry_after_s=retry_after_s)


def _quote(error: openai.APIError, secret: SecretStr | None) -> str:
    """The provider's own message, as one more sentence."""
    body = error.body
    message = cast("Mapping[str, object]", body).get("message") if isinstance(body, Mapping) else None
    if not isinstance(message, str):
        return ""
    if secret is not None and secret.get_secret_value():
        message = message.replace(secret.get_secret_value(), "…")
    message = re.sub(r"[\s\x00-\x1f\x7f]+", " ", message).strip()
    return f" It says: {message[:_LONGEST_QUOTE]}" if message else ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


async def _keep_protocol_headers(request: httpx2.Request) -> None:
    for name in list(request.headers):
        if name.lower() not in _SENT_HEADERS:
            del request.headers[name]


async def _refuse_retry_when_limited(response: httpx2.Response) -> None:
    if response.status_code == 429:
        response.headers["x-should-retry"] = "false"
