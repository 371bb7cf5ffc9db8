"""The provider for OpenAI's protocol, against a server that speaks it on loopback, well and badly."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr
from tests.factories.agents import ask, definition, take, turn
from tests.factories.loopback import Handler, Loopback, Request, respond, serve

from trunkline.errors import ProviderFailed
from trunkline.outgoing import OutgoingPolicy
from trunkline.runtime import AgentDefinition, AgentRuntime, Finished, ProviderRegistry
from trunkline.runtime.providers.openai import OpenAIProvider

OPERATORS_KEY = "sk-operator-0123456789"
AGENTS_KEY = "sk-agent-9876543210"


def chunk(text: str | None = None, *, finish: str | None = None, usage: dict[str, int] | None = None) -> bytes:
    """One event of a streamed answer."""
    delta = {} if text is None else {"role": "assistant", "content": text}
    body: dict[str, Any] = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-x-2026"}
    body["choices"] = [] if usage else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps(body | ({"usage": usage} if usage else {})).encode() + b"\n\n"


USAGE = chunk(usage={"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13})
DONE = b"data: [DONE]\n\n"
ANSWER = [chunk("Hello"), chunk(" you"), chunk(finish="stop"), USAGE, DONE]


def streaming(events: list[bytes], then: Callable[[asyncio.StreamWriter], Any] | None = None) -> Handler:
    """Answers with these events; `then` may do something instead of ending the stream well."""

    async def handler(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for event in events:
            writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        await writer.drain()
        if then is not None:
            await then(writer)
        else:
            writer.write(b"0\r\n\r\n")

    return handler


def failing(status: int, message: str = "", headers: dict[str, str] | None = None) -> Handler:
    """Answers with an error of OpenAI's form."""

    async def handler(_request: Request, writer: asyncio.StreamWriter) -> None:
        body = json.dumps({"error": {"message": message, "type": "t", "code": None}}).encode()
        await respond(writer, status, body, {"Content-Type": "application/json"} | (headers or {}))

    return handler


@asynccontextmanager
async def talking_to(
    handler: Handler, *, key: str | None = OPERATORS_KEY
) -> AsyncGenerator[tuple[AgentRuntime, Loopback]]:
    """A runtime whose operator's base URL is this server. Agents may call no private address."""
    async with serve(handler) as server:
        base_url = f"http://127.0.0.1:{server.port}/v1"

        def openai() -> OpenAIProvider:
            return OpenAIProvider(base_url=base_url, api_key=SecretStr(key) if key else None, policy=OutgoingPolicy())

        runtime = AgentRuntime(ProviderRegistry({"openai": openai}))
        try:
            yield runtime, server
        finally:
            await runtime.close()


def agent(**fields: Any) -> AgentDefinition:
    return definition("openai", "gpt-x", **fields)


async def failure(handler: Handler, **fields: Any) -> ProviderFailed:
    """What a turn against this server fails with."""
    async with talking_to(handler) as (runtime, _):
        with pytest.raises(ProviderFailed) as caught:
            await take(runtime, agent(**fields), turn("Hi", api_key=AGENTS_KEY))
    assert AGENTS_KEY not in caught.value.detail
    assert len(caught.value.detail) < 600
    return caught.value


async def test_an_answer_with_its_usage_and_the_model_that_gave_it() -> None:
    async with talking_to(streaming(ANSWER)) as (runtime, server):
        finished = await ask(runtime, agent(system_prompt="Be kind."), turn("Hi", "Hello", "Who?"))
    assert (finished.text, finished.model, finished.finish_reason) == ("Hello you", "gpt-x-2026", "stop")
    assert (finished.input_tokens, finished.output_tokens, finished.estimated) == (11, 2, False)
    sent = json.loads(server.requests[0].body)
    assert (server.requests[0].method, server.requests[0].path) == ("POST", "/v1/chat/completions")
    assert [(m["role"], m["content"]) for m in sent["messages"]] == [
        ("system", "Be kind."),
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "Who?"),
    ]
    assert (sent["model"], sent["stream"], sent["stream_options"]) == ("gpt-x", True, {"include_usage": True})
    assert sent["max_tokens"] == 1000
    assert not {"temperature", "top_p", "reasoning_effort", "response_format"} & sent.keys()


async def test_the_agents_settings_are_sent() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    async with talking_to(streaming(ANSWER)) as (runtime, server):
        settings = agent(temperature=0.2, top_p=0.9, max_tokens=77, reasoning_effort="low", response_format=schema)
        await ask(runtime, settings, turn("Hi"))
    sent = json.loads(server.requests[0].body)
    assert (sent["temperature"], sent["top_p"], sent["max_tokens"], sent["reasoning_effort"]) == (0.2, 0.9, 77, "low")
    assert sent["response_format"] == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


async def test_usage_that_is_not_told_is_estimated_and_says_so() -> None:
    async with talking_to(streaming([chunk("x" * 400), chunk(finish="length"), DONE])) as (runtime, _):
        finished = await ask(runtime, agent(), turn("y" * 800))
    assert (finished.input_tokens, finished.output_tokens, finished.estimated) == (200, 100, True)
    assert finished.finish_reason == "length"


@pytest.mark.parametrize(
    ("status", "message", "sentence"),
    [
        (400, "max_tokens is too large", r"refused the request \(HTTP 400\)\. It says: max_tokens is too large"),
        (401, f"Incorrect API key provided: {AGENTS_KEY[:8]}***", r"refused the API key \(HTTP 401\)\.$"),
        (403, "country", r"does not allow this to the API key \(HTTP 403\)\.$"),
        (404, "no model gpt-x", r"does not know this model, or this address \(HTTP 404\)\. It says: no model gpt-x"),
        (422, f"bad {AGENTS_KEY} key", r"\(HTTP 422\)\. It says: bad … key"),
        (429, "slow down", r"accepts no more requests now.*\(HTTP 429\)"),
        (500, "oops\n\x1b[31mred", r"failure of its own \(HTTP 500\)\. Try again\. It says: oops \[31mred"),
        (503, "m" * 5000, r"\(HTTP 503\)\. Try again\. It says: m{200}$"),
        (302, "", r"redirects elsewhere \(HTTP 302\)"),
    ],
)
async def test_an_error_of_the_provider_is_one_sentence(status: int, message: str, sentence: str) -> None:
    failed = await failure(failing(status, message, {"Location": "http://127.0.0.1:1/"} if status == 302 else None))
    assert failed.detail.startswith("Agent 'Ada' got no whole answer: openai model 'gpt-x' at 127.0.0.1:")
    assert re.search(sentence, failed.detail)


async def test_a_limit_tells_when_to_come_back_and_is_not_asked_again() -> None:
    async with talking_to(failing(429, "slow down", {"Retry-After": "17"})) as (runtime, server):
        with pytest.raises(ProviderFailed) as caught:
            await take(runtime, agent(), turn("Hi"))
    assert caught.value.retry_after_s == 17
    assert len(server.requests) == 1


async def cut(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def hang(_writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("handler", "sentence"),
    [
        (streaming([chunk("Hel")], cut), "broke off"),
        (streaming([chunk("Hel"), chunk("lo")]), "broke off after 5 characters"),
        (streaming([chunk("Hel"), DONE]), "broke off after 3 characters"),
        (streaming([], hang), r"said nothing for 0\.3 s"),
        (streaming([chunk("Hel")], hang), "fell silent in the middle"),
        (streaming([b": still here\n\n"], hang), r"said nothing for 0\.3 s"),
        (streaming([chunk(finish="stop"), USAGE, DONE]), r"empty answer .*finish reason: stop"),
        (streaming([chunk(finish="content_filter"), DONE]), "finish reason: content_filter"),
        (streaming([b"data: {not json}\n\n"]), "no answer of OpenAI's protocol"),
        (streaming([b'data: {"choices": "no"}\n\n']), "no answer of OpenAI's protocol"),
        (streaming([b'data: "text"\n\n']), "no answer of OpenAI's protocol"),
        (streaming([b"<html>A login page</html>"]), "broke off after 0 characters"),
        (streaming([b'data: {"error": {"message": "overloaded"}}\n\n']), "reported a failure. It says: overloaded"),
        (streaming([b"\xff\xfe\x00 garbage \x80\n\n"]), "no answer of OpenAI's protocol"),
        (streaming([]), "broke off after 0 characters"),
    ],
)
async def test_a_bad_stream_fails_in_a_sentence(handler: Handler, sentence: str) -> None:
    failed = await failure(handler, timeout_ms=300)
    assert re.search(sentence, failed.detail)


async def test_a_silent_server_is_left() -> None:
    async def handler(_request: Request, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with talking_to(handler) as (runtime, server):
        with pytest.raises(ProviderFailed, match="said nothing"):
            await take(runtime, agent(timeout_ms=200), turn("Hi"))
        await asyncio.wait_for(server.disconnected.wait(), 10)


async def test_leaving_a_turn_closes_the_connection() -> None:
    async with talking_to(streaming([chunk("Hel")], hang)) as (runtime, server):
        events = runtime.stream(agent(), turn("Hi"))
        await anext(events)
        await events.aclose()
        await asyncio.wait_for(server.disconnected.wait(), 10)


async def test_a_server_that_is_not_there_is_told() -> None:
    async with talking_to(streaming(ANSWER)) as (runtime, server):
        pass
    provider = OpenAIProvider(
        base_url=f"http://127.0.0.1:{server.port}/v1", api_key=SecretStr("k"), policy=OutgoingPolicy()
    )
    runtime = AgentRuntime(ProviderRegistry({"openai": lambda: provider}))
    with pytest.raises(ProviderFailed, match=r"cannot be reached\. Check the base URL"):
        await take(runtime, agent(), turn("Hi"))
    await runtime.close()


async def test_without_a_key_the_turn_fails_and_says_what_to_do() -> None:
    async with talking_to(streaming(ANSWER), key=None) as (runtime, server):
        with pytest.raises(ProviderFailed, match=r"provider openai, which has no API key\. Add one: trunkline cred"):
            await take(runtime, agent(), turn("Hi"))
        with pytest.raises(ProviderFailed, match="no API key"):
            await take(runtime, agent(), turn("Hi", api_key=""))
        assert server.requests == []


@pytest.mark.parametrize("key", ["sk-line\nbreak", "sk-ünïcode"])
async def test_a_key_that_cannot_be_one_is_not_sent_and_not_shown(key: str) -> None:
    async with talking_to(streaming(ANSWER)) as (runtime, server):
        with pytest.raises(ProviderFailed, match="characters that no key has") as caught:
            await take(runtime, agent(), turn("Hi", api_key=key))
        assert key not in caught.value.detail
        assert server.requests == []


async def test_the_agents_own_key_comes_before_the_operators() -> None:
    async with talking_to(streaming(ANSWER)) as (runtime, server):
        await ask(runtime, agent(), turn("Hi"))
        await ask(runtime, agent(), turn("Hi", api_key=AGENTS_KEY))
    assert [request.headers["authorization"] for request in server.requests] == [
        f"Bearer {OPERATORS_KEY}",
        f"Bearer {AGENTS_KEY}",
    ]


async def test_the_operators_key_is_never_sent_to_an_agents_base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is anything that OpenAI's library would take from the environment."""
    monkeypatch.setenv("OPENAI_API_KEY", OPERATORS_KEY)
    monkeypatch.setenv("OPENAI_ADMIN_KEY", OPERATORS_KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "operators-organization")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "operators-project")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"Authorization: Bearer {OPERATORS_KEY}\nX-Operator: operators-header")
    async with serve(streaming(ANSWER)) as stranger:
        provider = OpenAIProvider(
            base_url="https://api.openai.com/v1",
            api_key=SecretStr(OPERATORS_KEY),
            policy=OutgoingPolicy(allow=frozenset({f"127.0.0.1:{stranger.port}"})),
        )
        runtime = AgentRuntime(ProviderRegistry({"openai": lambda: provider}))
        elsewhere = agent(base_url=f"http://127.0.0.1:{stranger.port}/v1")
        with pytest.raises(ProviderFailed, match="base URL of its own, and no API key for it"):
            await take(runtime, elsewhere, turn("Hi"))
        assert stranger.requests == []
        await ask(runtime, elsewhere, turn("Hi", api_key=AGENTS_KEY))
        await runtime.close()
    (request,) = stranger.requests
    assert request.headers["authorization"] == f"Bearer {AGENTS_KEY}"
    assert "operator" not in str(request).lower()
    assert not any(name.startswith("x-") for name in request.headers)


@pytest.mark.parametrize(
    "base_url", ["http://127.0.0.1:{port}/v1", "http://localhost:{port}/v1", "http://2130706433:{port}"]
)
async def test_an_agents_base_url_reaches_no_private_address(base_url: str) -> None:
    """Not even the one that the operator's own base URL names."""
    async with talking_to(streaming(ANSWER)) as (runtime, server):
        with pytest.raises(ProviderFailed, match=r"was not used\..*not on the public internet"):
            await take(runtime, agent(base_url=base_url.format(port=server.port)), turn("Hi", api_key=AGENTS_KEY))
        assert server.requests == []


@pytest.mark.parametrize(
    "base_url", ["not a url", "http://", "ftp://models.example/v1", "http://u:p@models.example/v1"]
)
async def test_a_base_url_that_is_none_is_told(base_url: str) -> None:
    async with talking_to(streaming(ANSWER)) as (runtime, _):
        with pytest.raises(ProviderFailed) as caught:
            await take(runtime, agent(base_url=base_url), turn("Hi", api_key=AGENTS_KEY))
    assert "no answer of OpenAI's protocol" not in caught.value.detail
    assert "u:p" not in caught.value.detail


async def test_a_huge_stream_is_cut_off() -> None:
    async def handler(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        while True:
            writer.write(chunk("x" * 100_000))
            await writer.drain()

    failed = await failure(handler)
    assert "longer than the 16777216 bytes" in failed.detail


async def test_many_turns_at_once_keep_their_keys_and_words() -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        said = json.loads(request.body)["messages"][-1]["content"]
        key = request.headers["authorization"].removeprefix("Bearer ")
        await streaming([chunk(f"{said} {key}"), chunk(finish="stop"), USAGE, DONE])(request, writer)

    async with talking_to(handler) as (runtime, _):
        shared = agent()
        answers: list[Finished] = await asyncio.gather(
            *(ask(runtime, shared, turn(f"canary-{index}", api_key=f"key-{index}")) for index in range(50))
        )
    assert [answer.text for answer in answers] == [f"canary-{index} key-{index}" for index in range(50)]
