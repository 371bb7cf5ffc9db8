"""What `/readyz` says of a server that can't do all that it should."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.factories.problems import assert_problem
from tests.factories.server import Served, Shop, serving, serving_apart, settings_for, until

from trunkline.settings import ModelSettings


async def test_a_provider_that_can_not_be_loaded_stops_no_other(
    login_url: str, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    # What the environment would not be let through with: the last line of defence is tried here.
    broken = ModelSettings.model_construct(openai_base_url="https://models.example:x", openai_api_key=SecretStr("k"))
    async with serving(login_url, settings_for(models=broken)) as served:
        ready = await until(lambda: answer_of(served))
        assert ready.keys() == {"status", "runtime", "database", "providers_that_failed"}
        assert list(ready["providers_that_failed"]) == ["openai"]
        assert caplog.text.count("The provider openai can't be loaded") == 1
        program = served.caller(shop.key)
        session = (await program.start(shop.agent()))["session_id"]
        assert (await program.say(session, "Hello")).status_code == 200
        session = (await program.start(shop.agent("m", llm_provider="openai")))["session_id"]
        assert_problem(await program.say(session, "Hello"), 502, "provider_failed", says="'openai' can't be loaded")


async def answer_of(served: Served) -> dict[str, dict[str, str]] | None:
    """What `/readyz` says once it is ready."""
    response = await served.http.get("/readyz")
    return response.json() if response.status_code == 200 else None


async def test_a_runtime_that_can_not_be_loaded_is_told(login_url: str, tmp_path: Path) -> None:
    (tmp_path / "langgraph").mkdir()
    (tmp_path / "langgraph" / "__init__.py").write_text("raise ImportError('half installed')")
    async with serving_apart(login_url, PYTHONPATH=str(tmp_path)) as served:

        async def failed() -> str | None:
            response = await served.http.get("/readyz")
            assert response.status_code == 503
            told = response.json()["runtime"]
            return None if told == "starting" else told

        assert "can't be loaded" in await until(failed)
        assert (await served.http.get("/healthz")).status_code == 200
