"""Whatever JSON is sent to whichever route, the server knows what to say."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.factories.problems import assert_problem
from tests.factories.server import Caller, Served, Shop, member_token

from trunkline.agents.settings import AgentSettings

TEXTS = st.one_of(
    st.text(max_size=20),
    st.text(alphabet=st.characters(categories=("Cc", "Cs", "Cf", "Co")), max_size=5),
    st.sampled_from(["shop.example", "web", "*", "null", "00000000-0000-0000-0000-000000000000", "' or 1=1 --", "%00"]),
)
NUMBERS = st.one_of(st.integers(), st.integers(-(10**40), 10**40), st.floats(), st.sampled_from([0, 1, -1, 2**63]))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)
FIELDS = {
    "/v1/organizations": ("name", "slug", "description"),
    "/v1/keys": ("name", "scopes", "expires_at", "organization_id"),
    "/v1/credentials": ("name", "provider", "secret", "organization_id"),
    "/v1/sessions": ("agent_id", "website_domain", "channel", "client_reference"),
    "/v1/sessions/{session}/messages": ("content", "stream"),
    "/v1/agents": tuple(AgentSettings.model_fields),
    "/v1/agents/{agent}/publish": ("notes",),
    "/v1/organizations/{organization}/members": ("user_id", "role"),
}


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, Any]:
    """A route, and a body that has some of its fields or nothing to do with it."""
    path = draw(st.sampled_from(sorted(FIELDS)))
    if draw(st.integers(0, 9)) == 0:
        return path, draw(VALUES)
    names = draw(st.lists(st.sampled_from(FIELDS[path]), unique=True, max_size=6))
    body = {name: draw(VALUES) for name in names}
    if path == "/v1/agents":
        body.setdefault("name", draw(st.text(min_size=1, max_size=20)))
    return path, body


@given(asked=requests())
@settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_no_body_breaks_the_server(
    served: Served, program: Caller, shop: Shop, standing: tuple[str, str], asked: tuple[str, Any]
) -> None:
    path, body = asked
    agent, session = standing
    address = path.format(session=session, agent=agent, organization=shop.organization_id)
    member = served.caller(member_token(shop.owner))
    caller = member if "organizations" in path else program
    raw = json.dumps(body).encode()
    response = await caller.call("POST", address, headers={"Content-Type": "application/json"}, content=raw)
    assert response.status_code < 500, (path, body, response.text)
    if response.status_code >= 400:
        assert_problem(response, response.status_code)
    await response.aread()
