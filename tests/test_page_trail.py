"""The trail tells what was done in words of the page's language; old rows stay readable."""

import pytest

import prompts
from assistant.page import trail
from assistant.page.store import Event
from tests.test_page_desk import desk  # noqa: F401  a fixture
from tests.test_page_edit import number_of

languages = pytest.mark.parametrize("language", prompts.languages())


def event(what, written):
    return Event("2021-03-04T05:06:07+00:00", "Dr Test", what, written)


def test_what_was_done_is_told_in_both_languages(desk):  # noqa: F811
    line = number_of(desk.manuscript(), "m1")
    desk.edit(line, "Seen: {m1.reading}.", "Dr Test")
    desk.accept(line, "Dr Test")
    desk.override("m4", 3.5, (3.2, 3.8), "Dr Test")
    desk.undo("Dr Test")
    last = number_of(desk.manuscript(), "m7", "impression")
    text = desk.report().lines[last].text
    desk.remove(last, "Dr Test")
    events = desk.store.events(desk.study)
    assert [[trail.detail(e, language) for e in events] for language in ("en", "zh")] == [
        [
            "scan",
            f"line {line + 1}: Seen: {{m1.reading}}.",
            f"line {line + 1}",
            "record m4: 3.5 mL, bounds 3.2 to 3.8 mL",
            "",
            f"line {last + 1}: {text}",
        ],
        [
            "scan",
            f"第 {line + 1} 行：Seen: {{m1.reading}}.",
            f"第 {line + 1} 行",
            "记录 m4：3.5 mL，界限 3.2 至 3.8 mL",
            "",
            f"第 {last + 1} 行：{text}",
        ],
    ]


@pytest.mark.parametrize("what", ["failed", "prior_failed"])
def test_a_refusal_is_told_by_its_code_in_words(desk, what):  # noqa: F811
    desk.store.record(desk.study, "voxcite", what, code="not-mr", sentence="scan.nii: expected MR")
    last = desk.store.events(desk.study)[-1]
    assert last.refusal == ("not-mr", "scan.nii: expected MR")
    assert trail.detail(last, "en") == "not-mr: not MR"
    assert trail.detail(last, "zh") == "not-mr：不是磁共振图像"


@languages
def test_a_code_without_words_keeps_its_sentence(language):
    told = trail.detail(event("failed", '{"code": "new", "sentence": "expected x"}'), language)
    assert told.startswith("new")
    assert told.endswith("expected x")


@languages
@pytest.mark.parametrize(
    ("what", "written"),
    [
        ("edited", "line 3, text Seen."),
        ("overridden", "record m4, value 3.9, lower 3.6, upper 4.2"),
        ("exported", "markdown"),
        ("asked", '{"a": 1}'),
        ("asked", "{question}"),
        ("undone", ""),
        ("of a later version", "whatever"),
    ],
)
def test_a_row_of_an_earlier_version_is_shown_as_it_was_written(language, what, written):
    assert trail.detail(event(what, written), language) == written


def test_a_refusal_of_an_earlier_version_is_understood():
    old = event("failed", "not-mr: scan.nii: expected MR")
    assert old.refusal == ("not-mr", "scan.nii: expected MR")
    assert trail.detail(old, "en") == "not-mr: not MR"
