"""Questions about lesions: what of a change is known, and in how many sentences it is told."""

from dataclasses import replace

import pytest

import prompts
from assistant.pipeline import Assistant
from assistant.report import Line
from assistant.settings import Settings
from assistant.verify import verify_line
from assistant.writers.questions import language_of
from tests import test_lesion_followup
from tests.test_lesion_followup import BEFORE, STAYS, drafted, pair, study_of

aligned = test_lesion_followup.aligned
languages = pytest.mark.parametrize("language", prompts.languages())


def told(question, *studies, exam="follow-up"):
    """Return the texts of an answer, the quantities that each cites, and its report."""
    language = language_of(question)
    settings = Settings(exam=exam, language=language, reader="none")
    assistant = Assistant.from_settings(settings)
    report = assistant(studies[0], priors=studies[1:])
    answer = assistant.ask(report, question)
    assert answer.problems == ()
    of = {m.id: m.quantity for m in report.measurements}
    return [line.text for line in answer.lines], [[of[c] for c in x.cites] for x in answer.lines]


@pytest.mark.parametrize(
    "question",
    [
        *("Is that real?", "Did it really grow?", "这是真的吗", "真的变大了吗？"),
        *("From how many people does the measurement error come?", "测量误差来自多少人"),
    ],
)
@pytest.mark.parametrize(("before", "more"), [(BEFORE, []), ({STAYS: 2.0}, ["load_differs"])])
def test_whether_a_change_of_lesions_is_real_nobody_knows(question, before, more):
    phrases = prompts.load(language_of(question)).phrases
    now, earlier = pair()[0], study_of("b", "2023-06-01", before)
    texts, cited = told(question, now, earlier)
    assert cited == [[], ["lesion volume change"], *([] for _ in more)]
    assert texts[::2] == [phrases[f"answer.{key}.a"] for key in ("lesion_error", *more)]


@pytest.mark.parametrize(
    "question", ["How sure are you?", "Can I trust this report?", "你有多大把握？"]
)
@pytest.mark.parametrize("has_prior", [True, False])
def test_a_total_is_as_sure_as_outlines_that_nobody_checked(question, has_prior):
    phrases = prompts.load(language_of(question)).phrases
    texts, cited = told(question, *(pair() if has_prior else pair()[:1]))
    assert cited == [["lesion volume"], [], *([[]] if has_prior else [])]
    last = [phrases["answer.lesion_error.a"]] if has_prior else []
    assert texts[1:] == [phrases["not_assessed.lesion_outlines"], *last]


@pytest.mark.parametrize(
    ("question", "fate"),
    [
        ("Which lesion is new?", "new"),
        ("Are there any new lesions?", "new"),
        ("How many lesions grew?", "enlarged"),
        ("哪个病灶是新的？", "new"),
        ("哪些病灶消失了？", "resolved"),
        ("Are there new lesions?", "new"),
        ("Has a new lesion appeared?", "new"),
        ("Were there new lesions since the last scan?", "new"),
        ("New lesions?", "new"),
        ("Did any lesion disappear?", "resolved"),
        ("Did lesions vanish?", "resolved"),
        ("Are some lesions gone?", "resolved"),
        ("Did a lesion shrink?", "shrunk"),
        ("有新病灶吗", "new"),
        ("是否出现新病灶", "new"),
        ("出现新发病变了吗？", "new"),
        ("有病灶消失吗", "resolved"),
        ("病灶消退了吗", "resolved"),
    ],
)
def test_lesions_of_a_kind_are_counted_and_listed(question, fate):
    _, cited = told(question, *pair())
    assert cited[0] == [f"{fate} lesions"]
    assert len(cited) > 1
    assert all(quantity.startswith(f"{fate} lesion ") for (quantity,) in cited[1:])


@pytest.mark.parametrize(
    "question",
    [
        *("Is NEDA met?", "Is there disease activity?", "Is the disease active?"),
        *("Are there any active lesions?", "Are there signs of activity?"),
        *("有疾病活动吗", "疾病是否活动？", "有活动性病灶吗"),
    ],
)
def test_activity_is_answered_by_criteria_that_say_that_it_is_activity(question):
    language = language_of(question)
    settings = Settings(exam="follow-up", language=language, reader="none")
    assistant = Assistant.from_settings(settings)
    now, before = pair()
    lines = assistant.ask(assistant(now, priors=[before]), question).lines
    assert [line.cites[0] for line in lines] == ["c1", "c2", "c3"]
    words = prompts.load(language)
    met = f"{words.outcomes['met']}{words.marks['colon']}{words.criteria['neda']['new_lesion']}"
    assert lines[0].text.startswith(met)
    assert {"en": "activity", "zh": "活动性"}[language] in met
    alone = assistant.ask(assistant(now), question).lines
    assert all(line.cites == () for line in alone)


@pytest.mark.parametrize("question", ["How fast?", "How fast did it grow?", "多快？"])
def test_no_rate_is_worked_out_for_lesions(question):
    (text,), _ = told(question, *pair())
    assert text == prompts.load(language_of(question)).phrases["answer.lesion_rate.a"]


@pytest.mark.parametrize(
    "question",
    [
        *("Did it grow?", "变大了吗？", "Did the lesion load increase?"),
        *("Has the lesion burden increased?", "Is the lesion load higher?"),
        *("Did the total volume go up?", "病灶负荷有没有上升", "总体积是否升高？"),
    ],
)
def test_growth_is_answered_in_short_and_not_of_each_lesion(question):
    _, cited = told(question, *pair())
    loads = ["lesion volume change", "relative lesion volume change"]
    classes = ["new lesions", "enlarged lesions", "shrunk lesions", "resolved lesions"]
    assert cited == [[quantity] for quantity in (*loads, *classes)]


@pytest.mark.parametrize("question", ["Did lesion C grow?", "病灶 C 变大了吗？"])
def test_a_lesion_that_is_named_is_told_by_itself(question):
    _, cited = told(question, *pair())
    assert cited == [["enlarged lesion volume C"], ["enlarged lesion change C"]]
    _, alone = told(question, pair()[0])
    assert alone == [[]]
    _, large = told("How large is lesion C?", pair()[0])
    assert large == [["large lesion volume C"]]


@pytest.mark.parametrize(
    "question",
    [
        *("Is that real?", "How fast?", "这是真的吗", "Are there any new lesions?"),
        *("Are there new lesions?", "Is there a new lesion?", "What about new lesions?"),
        *("Did any lesion disappear?", "Did lesions vanish?", "Is lesion A new?"),
        *("有新病灶吗", "是否出现新病灶", "病灶消失了吗", "病灶有融合吗"),
    ],
)
def test_without_a_prior_no_change_of_lesions_is_answered(question):
    (text,), _ = told(question, pair()[0])
    assert text == prompts.load(language_of(question)).phrases["answer.prior.a"]


@languages
def test_a_claim_about_the_bounds_of_the_load_must_hold_of_them(language):
    words, report = prompts.load(language), drafted(*pair(), language=language)
    records = {m.id: m for m in report.measurements}
    line = Line("answer", words.phrases["answer.load_differs.a"], (), "stated")
    assert verify_line(line, records, words)
    true = replace(line, text=words.phrases["answer.lesion_error.a"])
    assert not verify_line(true, records, words)


@pytest.mark.parametrize(
    ("question", "quantities"),
    [
        ("How many lesions are there?", ["lesion count"]),
        ("What is the total lesion volume?", ["lesion volume"]),
        ("病灶有多少？", ["lesion count"]),
        ("What was the total volume on 2023-06-01?", ["earlier lesion volume"]),
        ("2023-06-01的总体积是多少？", ["earlier lesion volume"]),
        ("What was the earlier total volume?", ["earlier lesion volume"]),
        ("What was the previous lesion load?", ["earlier lesion volume"]),
        ("What was the lesion burden at the last scan?", ["earlier lesion volume"]),
        ("既往病灶总体积是多少", ["earlier lesion volume"]),
        ("上次病灶负荷是多少？", ["earlier lesion volume"]),
        ("What was the total volume in 2023?", ["earlier lesion volume"]),
        ("2023年病灶总体积是多少？", ["earlier lesion volume"]),
        ("How many lesions were there in 2024?", ["lesion count"]),
        ("Is the total lesion volume larger than 5 mL?", ["lesion volume"]),
    ],
)
def test_a_total_is_told_by_itself_and_of_its_date(question, quantities):
    assert told(question, *pair())[1] == [quantities]


@pytest.mark.parametrize(
    "question",
    [
        "How big is lesion Z?",
        "Is the left hippocampus small?",
        "Is there enhancement?",
        "How much did lesion C change between 2021-06-01 and 2022-06-01?",
        "Did it grow between 2021-01-01 and 2022-01-01?",
        "海马萎缩了吗？",
        "How many lesions were there before?",
        "How many lesions did she have at the last scan?",
        "What was the earlier lesion count?",
        "以前有多少个病灶",
        "上次病灶数量是多少？",
        "How many lesions were there in 2023?",
        "How many lesions were there on 2023-06-01?",
        "What was the total volume in 2019?",
        "Do any lesions enhance?",
        "Do any lesions take up contrast?",
        "Is lesion C enhancing?",
        "How many Gd+ lesions are there?",
        "Are there new enhancing lesions?",
        "病灶强化吗",
        "有没有强化病灶？",
        "病灶摄取造影剂吗",
    ],
)
def test_what_no_record_of_lesions_holds_was_not_measured(question):
    (text,), _ = told(question, *pair())
    assert text == prompts.load(language_of(question)).phrases["answer.not_measured.a"]


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("How large is the enhancing tumour?", "lesion volume"),
        ("Did the enhancing tumour grow?", "lesion volume change"),
        ("强化肿瘤变大了吗", "lesion volume change"),
    ],
)
def test_of_an_enhancing_tumour_enhancement_is_what_was_measured(question, first):
    _, cited = told(question, *pair(), exam="tumour")
    assert cited[0] == [first]


@pytest.mark.parametrize(
    ("question", "topic"),
    [("Is this progressive disease?", "diagnosis"), ("Should she be treated?", "treatment")],
)
def test_what_lesions_do_not_tell_is_declined_as_elsewhere(question, topic):
    (text,), _ = told(question, *pair())
    assert text == prompts.load(language_of(question)).phrases[f"answer.{topic}.a"]


@pytest.mark.parametrize(
    "question", ["Where are the lesions?", "Is lesion A periventricular?", "病灶在哪里？"]
)
@pytest.mark.parametrize("has_prior", [True, False])
def test_in_which_part_of_the_brain_a_lesion_lies_was_not_assessed(question, has_prior):
    (text,), cited = told(question, *(pair() if has_prior else pair()[:1]))
    assert text == prompts.load(language_of(question)).phrases["answer.lesion_place.a"]
    assert cited == [[]]


def test_the_largest_lesion_is_the_first_one_of_a_single_examination():
    question = "Which lesion is the largest?"
    assert told(question, pair()[0])[1] == [["large lesion volume A"]]
    assert told(question, *pair())[1] == [[]]
