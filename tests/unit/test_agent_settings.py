"""What the schema of an agent's settings takes: bundles, their ranges, and what is refused everywhere."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from trunkline.agents.settings import AgentSettings

REQUIRED = {"name": "Baker", "slug": "baker"}


def errors(**values: Any) -> list[tuple[str, ...]]:
    """Where the settings are refused; nowhere where they are taken."""
    try:
        AgentSettings.model_validate({**REQUIRED, **values})
    except ValidationError as error:
        return [tuple(map(str, each["loc"])) for each in error.errors()]
    return []


def test_the_required_ones_are_enough() -> None:
    assert errors() == []
    with pytest.raises(ValidationError, match="2 validation errors"):
        AgentSettings.model_validate({})


@pytest.mark.parametrize(
    "values",
    [
        {"unknown": 1},
        {"voice_settings": {"unknown": 1}},
        {"speech_processing": {"interruption": {"unknown": 1}}},
        {"security": {"pii": {"unknown": 1}}},
        {"llm_fallbacks": [{"provider": "p", "model": "m", "unknown": 1}]},
        {"llm_api_key": "sk-secret"},
        {"config": {}},
    ],
)
def test_an_unknown_field_is_refused(values: dict[str, Any]) -> None:
    assert len(errors(**values)) == 1


BUNDLED_RANGES = {
    ("voice_settings", "speed"): (0.5, 2),
    ("voice_settings", "volume"): (0, 2),
    ("voice_settings", "stability"): (0, 1),
    ("voice_settings", "ambient_volume"): (0, 1),
    ("speech_processing", "vad_threshold"): (0, 1),
    ("speech_processing", "prefix_padding_ms"): (0, 5000),
    ("speech_processing", "silence_ms"): (50, 10_000),
    ("speech_processing", "end_after_silence_ms"): (10_000, 3_600_000),
    ("speech_processing", "reprompt_after_ms"): (1000, 600_000),
    ("retrieval", "top_k"): (1, 50),
    ("retrieval", "min_score"): (0, 1),
    ("retrieval", "max_chars"): (200, 100_000),
}


@pytest.mark.parametrize(("place", "bounds"), BUNDLED_RANGES.items())
def test_bundles_have_ranges(place: tuple[str, str], bounds: tuple[float, float]) -> None:
    bundle, name = place
    for bound, outside in zip(bounds, (bounds[0] - 1, bounds[1] + 1), strict=True):
        assert errors(**{bundle: {name: bound}}) == []
        assert errors(**{bundle: {name: outside}}) == [place]


@pytest.mark.parametrize(
    ("place", "values"),
    [
        (("name",), {"name": "a\x00b"}),
        (("system_prompt",), {"system_prompt": "\x00"}),
        (("tags",), {"tags": ["a", "b\x00"]}),
        (("dynamic_variables",), {"dynamic_variables": {"a\x00": "b"}}),
        (("voice_settings",), {"voice_settings": {"model": "\x00"}}),
        (("speech_processing",), {"speech_processing": {"voicemail": {"message": "\x00"}}}),
        (("config_json",), {"config_json": {"a": [{"b": "\x00"}]}}),
        (("llm_fallbacks",), {"llm_fallbacks": [{"provider": "\x00", "model": "m"}]}),
    ],
)
def test_what_postgresql_cannot_store_is_refused_with_its_field(place: tuple[str, ...], values: dict[str, Any]) -> None:
    assert errors(**values) == [place]


@pytest.mark.parametrize("language", ["en", "EN", "pt-BR", "zh-Hant-TW", "sr-Latn", "es-419"])
def test_a_language_is_a_tag(language: str) -> None:
    assert errors(language=language) == []


@pytest.mark.parametrize("language", ["", "e", "english language", "en_US", "en-", "-en", "en\n", "de--AT", "1a"])
def test_no_language(language: str) -> None:
    assert errors(language=language) == [("language",)]


@pytest.mark.parametrize("timezone", ["UTC", "Europe/Lisbon", "America/Argentina/Buenos_Aires"])
def test_a_time_zone_is_an_iana_name(timezone: str) -> None:
    assert errors(timezone=timezone) == []


@pytest.mark.parametrize("timezone", ["", "Mars/Olympus", "europe", "../etc/passwd", "UTC+1", "Europe/Lisbon "])
def test_no_time_zone(timezone: str) -> None:
    assert errors(timezone=timezone) == [("timezone",)]


def test_websites_are_normalised() -> None:
    settings = AgentSettings.model_validate(
        {**REQUIRED, "allowed_domains": ["https://Shop.Example/", "BÜCHER.example"]}
    )
    assert settings.allowed_domains == ["shop.example", "xn--bcher-kva.example"]
    assert errors(allowed_domains=["*.example"]) == [("allowed_domains", "0")]


def test_a_mapping_is_not_shared_between_agents() -> None:
    first, second = (AgentSettings.model_validate(REQUIRED) for _ in range(2))
    first.tags.append("mine")
    first.config_json["mine"] = 1
    first.security.link_allowlist.append("mine.example")
    assert second == AgentSettings.model_validate(REQUIRED)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "warm", [], {}, 2.0001])
def test_a_temperature_is_a_number_in_its_range(value: object) -> None:
    assert errors(temperature=value) == [("temperature",)]
