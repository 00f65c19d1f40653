"""Questions on the page: suggested, stopped, asked again, copied; and the keyboard."""

import pytest

from tests.browser.rounds import crosshair

pytestmark = pytest.mark.slow
CERTAIN = "How certain are the volumes of the hippocampi?"
BOT, USER = '[data-testid="bot"]', '[data-testid="user"]'


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def ask(page, question):
    page.fill("#vx-question textarea", question)
    press(page, "Ask")


def test_a_suggested_question_is_answered_from_the_ledger(asking):
    before = asking.locator(BOT).count()
    press(asking, "How large is the left hippocampus?")
    answer = asking.locator(BOT).nth(before)
    answer.locator('a[href="#cite-m1"]').first.wait_for()
    value = asking.locator("#record-m1 td").nth(2).inner_text()
    assert value.strip() in answer.inner_text()


def test_an_answer_that_is_stopped_before_its_first_line_is_not_kept(asking, hold):
    before = asking.locator(BOT).count()
    with hold("asked"):
        ask(asking, CERTAIN)
        asking.locator(USER, has_text="How certain").last.wait_for()
        asking.locator("#vx-hush").click()
        asking.locator(BOT, has_text="Stopped; nothing of this answer was kept.").wait_for()
    asking.reload()
    asking.wait_for_selector(".vx-report [data-act]")
    assert asking.locator(BOT).count() == before


def test_an_answer_is_read_in_its_middle_and_whole_when_it_is_there(asking, hold):
    before = asking.locator(BOT).count()
    answer = asking.locator(BOT).nth(before)
    with hold("answering"):
        ask(asking, CERTAIN)
        answer.locator("a").first.wait_for()
        first = answer.locator("p").all_inner_texts()
    answer.locator("p").nth(len(first)).wait_for()
    assert answer.locator("p").all_inner_texts()[: len(first)] == first


def test_an_answer_that_is_stopped_keeps_what_was_told(asking, hold):
    before = asking.locator(BOT).count()
    answer = asking.locator(BOT).nth(before)
    with hold("answering"):
        ask(asking, CERTAIN)
        answer.locator("a").first.wait_for()
        told = answer.locator("p").first.inner_text()
        asking.locator("#vx-hush").click()
        asking.locator(BOT, has_text="Stopped here; the rest was not written.").wait_for()
    asking.reload()
    answer.wait_for()
    assert answer.locator("p").all_inner_texts() == [
        told,
        "Stopped here; the rest was not written.",
    ]


def test_a_question_amid_an_answer_is_kept_where_it_was_written(asking, hold):
    before = asking.locator(BOT).count()
    box = asking.locator("#vx-question textarea")
    with hold("answering"):
        ask(asking, CERTAIN)
        asking.locator(BOT).nth(before).locator("a").first.wait_for()
        assert asking.get_by_role("button", name="Ask", exact=True).is_disabled()
        box.fill("Do the sides differ?")
        box.press("Enter")
        asking.get_by_text("An answer is on its way").first.wait_for()
        assert box.input_value() == "Do the sides differ?"
    press(asking, "Ask")
    asking.locator(BOT).nth(before + 1).locator("a").first.wait_for()


def test_a_question_is_asked_again_and_answered_as_before(asking):
    before = asking.locator(BOT).count()
    ask(asking, "Do the sides differ?")
    asking.locator(BOT).nth(before).locator("a").first.wait_for()
    press(asking, "Ask again")
    asking.locator(BOT).nth(before + 1).locator("a").first.wait_for()
    said = [asking.locator(BOT).nth(before + n).inner_text() for n in range(2)]
    assert said[0] == said[1]


def test_an_answer_is_copied_as_it_reads(asking, served):
    asking.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=served)
    if asking.locator(BOT).count() == 0:
        ask(asking, "Do the sides differ?")
        asking.locator(BOT).first.locator("a").first.wait_for()
    asking.get_by_role("button", name="Copy message").last.click()
    copied = asking.evaluate("navigator.clipboard.readText()")
    first = asking.locator(BOT).last.inner_text().split("[")[0].split("\n")[0][:30]
    assert first in copied.replace("\\", "")


def test_nothing_of_a_chat_seems_to_be_deleted(asking):
    if asking.locator(BOT).count() == 0:
        ask(asking, "Do the sides differ?")
        asking.locator(BOT).first.locator("a").first.wait_for()
    offered = asking.locator("#vx-chat .top-panel button:visible")
    offered.first.wait_for()
    assert [button.get_attribute("aria-label") for button in offered.all()] == ["Copy conversation"]


def test_keys_go_to_the_next_finding_and_move_the_viewer(asking):
    asking.locator(".vx-report").focus()
    lines = asking.locator(".vx-line[data-line]")
    left = next(n for n, line in enumerate(lines.all()) if line.locator("a").count())
    for _ in range(left + 1):
        asking.keyboard.press("n")
    assert asking.evaluate("document.activeElement.dataset.line") == str(left)
    assert crosshair(asking)[0] < -15
    assert asking.locator("#details-m1").is_visible()
    asking.keyboard.press("p")
    assert asking.evaluate("document.activeElement.dataset.line") == str(left - 1)


def test_keys_edit_and_accept_the_line_they_stand_on(asking):
    asking.get_by_label("Your name").fill("Dr Keys")
    asking.locator(".vx-line[data-line='1']").focus()
    asking.keyboard.press("a")
    asking.locator(".vx-line[data-line='1'] >> text=accepted by Dr Keys").wait_for()
    asking.wait_for_function("document.activeElement.dataset.line === '1'")
    asking.keyboard.press("n")  # from the line that was accepted, not from the first one
    assert asking.evaluate("document.activeElement.dataset.line") == "2"
    asking.locator(".vx-line[data-line='0']").focus()
    said = asking.locator(".vx-line[data-line='0'] .vx-text").inner_text()
    asking.keyboard.press("e")
    asking.wait_for_selector("#vx-sentence textarea")
    asking.wait_for_function("document.querySelector('#vx-sentence textarea').value.length > 5")
    assert asking.input_value("#vx-sentence textarea") == said


def test_typing_in_a_field_is_no_key_of_the_page(asking):
    asking.locator("#vx-question textarea").focus()
    asking.keyboard.type("an")
    assert asking.input_value("#vx-question textarea") == "an"
    assert asking.evaluate("document.activeElement.tagName") == "TEXTAREA"
