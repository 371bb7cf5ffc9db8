"""The chat in a browser: asking, stopping, coming back; what goes wrong on the way; keyboard, voice and colors."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect
from tests.browser.server import Site, Unkind
from tests.browser.visitor import Visitor, visiting
from tests.factories.server import SECRET

from trunkline.db.principals import Visitor as VisitorPrincipal
from trunkline.organizations.vault import Vault
from trunkline.sessions.tokens import VisitorTokens

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

GREETING = "Good morning. What may it be?"
HOSTILE = """<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>
[link](javascript:document.title='owned') ![picture](http://127.0.0.1:9/x.png) **bold** http://127.0.0.1:9/ &lt;b&gt;"""


async def test_an_answer_comes_as_it_is_said_and_says_what_it_took(visitor: Visitor, site: Site) -> None:
    site.speak("lorem-40@20ms")
    await visitor.open(site.url)
    await expect(visitor.answers).to_have_text([GREETING])
    await visitor.ask("When do you open?")
    partial = await visitor.speaks(20)
    await expect(visitor.questions).to_have_text(["When do you open?"])
    await visitor.answered(1)
    whole = await visitor.answers.last.inner_text()
    assert len(whole.split()) == 40
    assert len(partial) < len(whole)
    assert whole.startswith(partial.strip())
    await expect(visitor.facts).to_contain_text("40 tokens")
    await expect(visitor.facts).to_contain_text("lorem-40@20ms")
    session_id = await visitor.session_id()
    await expect(visitor.footer).to_have_text(f"Session {session_id} on 127.0.0.1:{site.port}")
    assert site.messages(session_id) == [
        ("user", "When do you open?", "complete"),
        ("assistant", whole.strip(), "complete"),
    ]


async def test_stopping_keeps_what_was_said(visitor: Visitor, site: Site) -> None:
    site.speak("lorem-400@20ms")
    await visitor.open(site.url)
    await visitor.ask("Tell me everything")
    partial = await visitor.speaks(20)
    await visitor.stop.click()
    await visitor.answered(1)
    await expect(visitor.facts).to_contain_text("Stopped")
    await expect(visitor.input).to_be_focused()
    said = (await visitor.answers.last.inner_text()).strip()
    assert said.startswith(partial.strip())
    assert len(said.split()) < 400
    assert site.messages(await visitor.session_id())[1] == ("assistant", said, "interrupted")


async def test_stopping_before_the_first_word(visitor: Visitor, site: Site) -> None:
    site.speak("hang")
    await visitor.open(site.url)
    await visitor.ask("Are you there?")
    await visitor.input.press("Escape")
    await visitor.answered(1)
    await expect(visitor.facts).to_have_text("Stopped")
    await visitor.ask("And now?")
    await expect(visitor.stop).to_be_visible()
    await visitor.stop.click()
    await visitor.answered(2)


async def test_a_reload_resumes_the_same_session(visitor: Visitor, site: Site) -> None:
    await visitor.open(site.url)
    await visitor.ask("Do you remember me?")
    await visitor.answered(1)
    session_id = await visitor.session_id()
    await visitor.page.reload()
    await visitor.is_ready()
    assert await visitor.session_id() == session_id
    await expect(visitor.questions).to_have_text(["Do you remember me?"])
    await expect(visitor.answers).to_have_text([GREETING, "Do you remember me?"])
    await expect(visitor.facts).to_contain_text("echo")
    await visitor.ask("And now?")
    await visitor.answered(2)
    assert len(site.sessions()) == 1
    assert len(site.messages(session_id)) == 4


async def test_a_reload_meets_an_answer_that_is_still_coming(visitor: Visitor, site: Site) -> None:
    site.speak("lorem-60@40ms")
    await visitor.open(site.url)
    await visitor.ask("Take your time")
    partial = await visitor.speaks(20)
    await visitor.page.reload()
    assert (await visitor.speaks(len(partial))).startswith(partial)
    await visitor.answered(1)
    whole = (await visitor.answers.last.inner_text()).strip()
    assert len(whole.split()) == 60
    await expect(visitor.questions).to_have_text(["Take your time"])
    assert site.messages(await visitor.session_id())[1:] == [("assistant", whole, "complete")]


async def test_another_website_sees_nothing_of_it(visitor: Visitor, site: Site) -> None:
    await visitor.open(site.url)
    await visitor.ask("This stays between us")
    await visitor.answered(1)
    session_id = await visitor.session_id()
    await visitor.open(site.clinic_url)
    await expect(visitor.page.get_by_role("heading", name="City Clinic", exact=True)).to_be_visible()
    assert await visitor.session_id() != session_id
    await expect(visitor.questions).to_have_count(0)
    assert "between us" not in await visitor.page.content() + str(await visitor.ask_shadow("root.textContent"))
    assert session_id not in await visitor.page.evaluate("JSON.stringify({...localStorage})")
    await visitor.open(site.url)
    assert await visitor.session_id() == session_id
    await expect(visitor.questions).to_have_text(["This stays between us"])


@pytest.mark.parametrize("cut_after", [1, 60, 150, 700, 1500])
async def test_a_cut_stream_goes_on_where_it_was_cut(
    visitor: Visitor, site: Site, proxy: Unkind, cut_after: int
) -> None:
    site.speak("lorem-50@10ms")
    await visitor.open(proxy.url)
    proxy.cuts, proxy.cut_after = 2, cut_after
    await visitor.ask("Are you there?")
    await visitor.answered(1)
    assert proxy.cuts == 0
    words = (await visitor.answers.last.inner_text()).split()
    assert len(words) == 50
    await expect(visitor.error).to_be_hidden()
    assert [role for role, _, _ in site.messages(await visitor.session_id())] == ["user", "assistant"]


async def test_a_message_whose_answer_got_lost_is_not_sent_twice(visitor: Visitor, site: Site, proxy: Unkind) -> None:
    visitor.expected_failures = ("ERR_EMPTY_RESPONSE",)
    await visitor.open(proxy.url)
    proxy.swallows = 2
    await visitor.ask("Only once")
    await visitor.answered(1)
    assert proxy.swallows == 0
    await expect(visitor.answers).to_have_text([GREETING, "Only once"])
    assert [role for role, _, _ in site.messages(await visitor.session_id())] == ["user", "assistant"]


async def test_a_stream_may_be_framed_as_the_standard_allows(visitor: Visitor, site: Site, proxy: Unkind) -> None:
    site.speak("echo")
    proxy.is_reframing = True
    await visitor.open(proxy.url)
    question = "Brötchen, 面包 \N{BREAD} and\nanother line: {“data”: 1}"
    await visitor.ask(question)
    await visitor.answered(1)
    assert await visitor.answers.last.inner_text() == question


async def test_a_failed_answer_is_told_and_can_be_asked_for_again(visitor: Visitor, site: Site) -> None:
    site.speak("fail-after-5")
    await visitor.open(site.url)
    await visitor.ask("Try this")
    await expect(visitor.error).to_contain_text("The agent can't answer right now.")
    await expect(visitor.stop).to_be_hidden()
    await visitor.page.get_by_role("button", name="Retry").click()
    await expect(visitor.error).to_be_visible()
    assert site.messages(await visitor.session_id()) == [("user", "Try this", "complete")]


async def test_a_busy_session_says_so_until_it_is_free(visitor: Visitor, site: Site) -> None:
    site.speak("lorem-20@100ms")
    visitor.expected_failures = ("409 (Conflict)",)
    await visitor.open(site.url)
    twin = Visitor(visitor.context, await visitor.context.new_page())
    await twin.open(site.url)
    await visitor.ask("First")
    await visitor.speaks(1)
    await twin.ask("Second")
    await expect(twin.error).to_contain_text("The session is answering another message.")
    await visitor.answered(1)
    await twin.page.get_by_role("button", name="Retry").click()
    await expect(twin.input).to_be_focused()
    await twin.answered(1)
    await expect(twin.error).to_be_hidden()
    roles_and_questions = [
        content if role == "user" else role for role, content, _ in site.messages(await twin.session_id())
    ]
    assert roles_and_questions == ["First", "assistant", "Second", "assistant"]


async def test_a_session_that_ended_meanwhile_makes_place_for_a_new_one(visitor: Visitor, site: Site) -> None:
    visitor.expected_failures = ("409 (Conflict)",)
    await visitor.open(site.url)
    ended = await visitor.session_id()
    site.shop.sql("update public.agent_sessions set started_at = now() - interval '1 year'")
    await visitor.ask("Still there?")
    await visitor.answered(1)
    await expect(visitor.page.get_by_text("The earlier conversation has ended. This is a new one.")).to_be_visible()
    fresh = await visitor.session_id()
    assert fresh != ended
    assert [content for _, content, _ in site.messages(fresh)] == ["Still there?", "Still there?"]
    await visitor.page.reload()
    await visitor.is_ready()
    assert await visitor.session_id() == fresh


async def test_a_new_conversation_ends_the_old_one(visitor: Visitor, site: Site) -> None:
    await visitor.open(site.url)
    await visitor.ask("Forget this")
    await visitor.answered(1)
    old = await visitor.session_id()
    async with visitor.page.expect_response(f"{site.url}/v1/sessions/{old}/end"):
        await visitor.page.get_by_role("button", name="New conversation").click()
    await expect(visitor.footer).not_to_contain_text(old)
    await expect(visitor.questions).to_have_count(0)
    await expect(visitor.answers).to_have_text([GREETING])
    await expect(visitor.input).to_be_focused()
    assert site.sessions() == {old: "ended", await visitor.session_id(): "active"}


async def test_a_token_that_ran_out_is_renewed(visitor: Visitor, site: Site) -> None:
    visitor.expected_failures = ("401 (Unauthorized)",)
    await visitor.open(site.url)
    await visitor.ask("Before")
    await visitor.answered(1)
    session_id = await visitor.session_id()
    expired, _ = VisitorTokens(Vault(SECRET, None).token_keys, -60).sign(
        VisitorPrincipal(site.bakery, f"127.0.0.1:{site.port}", site.shop.organization_id, session_id)
    )
    await visitor.page.evaluate(_CHANGE_SAVED, ["token", expired])
    await visitor.page.reload()
    await visitor.is_ready()
    await expect(visitor.questions).to_have_text(["Before"])
    await visitor.page.evaluate(_CHANGE_SAVED, ["token", expired])
    await visitor.ask("After")
    await visitor.answered(2)
    assert await visitor.session_id() == session_id


@pytest.mark.parametrize(("field", "value"), [("token", "forged"), ("id", "ses_nowhere"), ("id", "../../etc")])
async def test_a_session_that_cannot_be_found_again_is_a_new_one(
    visitor: Visitor, site: Site, field: str, value: str
) -> None:
    visitor.expected_failures = ("401 (Unauthorized)", "404 (Not Found)")
    await visitor.open(site.url)
    first = await visitor.session_id()
    await visitor.page.evaluate(_CHANGE_SAVED, [field, value])
    await visitor.page.reload()
    await visitor.is_ready()
    assert await visitor.session_id() != first
    await visitor.ask("Good?")
    await visitor.answered(1)


async def test_a_page_that_may_not_store_anything_has_a_chat_as_well(visitor: Visitor, site: Site) -> None:
    await visitor.context.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } })"
    )
    await visitor.open(site.url)
    await visitor.ask("Hello?")
    await visitor.answered(1)
    await expect(visitor.answers.last).to_have_text("Hello?")


async def test_what_a_model_says_stays_text(visitor: Visitor, site: Site) -> None:
    await visitor.open(site.url)
    await visitor.ask(HOSTILE)
    await visitor.answered(1)
    for _ in ("as it came", "as it was stored"):
        assert await visitor.answers.last.inner_text() == HOSTILE
        assert await visitor.ask_shadow("root.querySelectorAll('.text *, img, script, a, b').length") == 0
        assert await visitor.page.title() == f"Corner Bakery on 127.0.0.1:{site.port}"
        await visitor.page.reload()
        await visitor.is_ready()
    assert visitor.hosts == {f"127.0.0.1:{site.port}"}


async def test_a_suggested_question_is_asked_with_one_click(visitor: Visitor, site: Site) -> None:
    await visitor.open(site.url)
    await visitor.page.get_by_role("button", name="When do you open?").click()
    await visitor.answered(1)
    await expect(visitor.questions).to_have_text(["When do you open?"])
    await expect(visitor.page.get_by_role("button", name="Do you bake without gluten?")).to_be_hidden()
    await expect(visitor.input).to_be_focused()


async def test_the_keyboard_is_enough(visitor: Visitor, site: Site) -> None:
    site.speak("echo@100ms")
    await visitor.open(site.url)
    seen: list[str] = []
    for _ in range(20):
        await visitor.page.keyboard.press("Tab")
        name = await visitor.page.evaluate(_FOCUSED)
        seen.append(name)
        assert await visitor.page.evaluate(_FOCUS_IS_VISIBLE), f"the focus on {name!r} can't be seen"
        if name == "Your message":
            break
    assert seen[-4:] == ["Conversation", "When do you open?", "Do you bake without gluten?", "Your message"]
    await visitor.page.keyboard.type("one two three four five six seven eight nine ten")
    await visitor.page.keyboard.press("Shift+Enter")
    await visitor.page.keyboard.type("line two")
    await visitor.page.keyboard.press("Enter")
    await expect(visitor.questions.last).to_have_text("one two three four five six seven eight nine ten\nline two")
    await expect(visitor.input).to_have_value("")
    await visitor.speaks(4)
    await visitor.page.keyboard.press("Escape")
    await visitor.answered(1)
    await expect(visitor.facts).to_contain_text("Stopped")
    await expect(visitor.input).to_be_focused()


async def test_a_screen_reader_is_told_whole_sentences(visitor: Visitor, site: Site) -> None:
    site.speak("echo@15ms")
    await visitor.open(site.url)
    log = visitor.page.get_by_role("log", name="Conversation")
    await expect(log).to_have_attribute("aria-live", "polite")
    await visitor.ask_shadow(_OVERHEAR)
    await visitor.ask("We open at seven. Is that early? Come at 7.30 then!\nGood bread takes time")
    await visitor.answered(1)
    assert await visitor.page.evaluate("window.overheard") == [
        "We open at seven.",
        "Is that early?",
        "Come at 7.30 then!",
        "Good bread takes time",
    ]
    assert await visitor.ask_shadow("root.querySelector('.assistant:last-child').ariaLive") == "off"


async def test_colors_follow_the_system_and_the_attribute_wins(chromium: Browser, site: Site) -> None:
    background = "getComputedStyle(root.querySelector('.panel')).backgroundColor"
    async with visiting(chromium, color_scheme="dark", reduced_motion="reduce") as visitor:
        site.speak("hang")
        await visitor.open(site.url)
        dark = await visitor.ask_shadow(background)
        await visitor.page.emulate_media(color_scheme="light")
        light = await visitor.ask_shadow(background)
        assert (dark, light) == ("rgb(22, 25, 29)", "rgb(255, 255, 255)")
        await visitor.page.evaluate("document.querySelector('trunkline-chat').setAttribute('theme', 'dark')")
        assert await visitor.ask_shadow(background) == dark
        await visitor.ask("Do you move?")
        await expect(visitor.stop).to_be_visible()
        animation = "getComputedStyle(root.querySelector('.busy .text'), '::after').animationName"
        assert await visitor.ask_shadow(animation) == "none"
        await visitor.stop.click()
        await visitor.answered(1)


_CHANGE_SAVED = """([field, value]) => {
  const [place] = Object.keys(localStorage);
  localStorage.setItem(place, JSON.stringify({ ...JSON.parse(localStorage.getItem(place)), [field]: value }));
}"""

_FOCUSED = """() => {
  let focused = document.activeElement;
  while (focused.shadowRoot?.activeElement) focused = focused.shadowRoot.activeElement;
  return focused.ariaLabel || focused.textContent.trim();
}"""

_FOCUS_IS_VISIBLE = """() => {
  let focused = document.activeElement;
  while (focused.shadowRoot?.activeElement) focused = focused.shadowRoot.activeElement;
  const drawn = [focused, focused.closest('form')].filter(Boolean);
  return drawn.some((element) => getComputedStyle(element).outlineStyle !== 'none');
}"""

_OVERHEAR = """(() => {
  window.overheard = [];
  const note = (records) =>
    records.forEach((record) => record.addedNodes.forEach((node) => overheard.push(node.textContent.trim())));
  new MutationObserver(note).observe(root.querySelector('[aria-live]:last-child'), { childList: true });
})()"""
