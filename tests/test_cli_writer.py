"""The command line with a language model: a report that holds, or one sentence and no file."""

import json
import shutil
import subprocess
import sys

import nibabel
import pytest
import torch

from assistant import exams, readers
from assistant.cli import OK, REFUSED, main
from assistant.finish import finish
from assistant.report import report_bytes
from assistant.writers.vlm import base, sources
from assistant.writers.vlm.adapter import BaseFacts, Rank, add_adapter, save_adapter
from assistant.writers.vlm.checkpoint import TEXT, inspect
from assistant.writers.vlm.model import load_checkpoint
from assistant.writers.vlm.parts import write_parts
from prompts import load
from tests.drafts import template_draft
from tests.ledgers import plain_ledger
from tests.phantoms import ThresholdSegmenter, calibrated, head, registered
from tests.toy_vlm import toy_checkpoint, toy_text_model
from tests.toy_writer import EXACT, letters

QUESTION = "How large is the left hippocampus?"
VLM = ["--writer", "vlm", "--precision", "float32", "--device", "cpu"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A whole model in MedGemma's layout that no test changes."""
    return toy_checkpoint(tmp_path_factory.mktemp("toy") / "medgemma-toy", texts=letters())


@pytest.fixture
def copy(folder, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(folder, tmp_path / "medgemma-toy")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A cache with a converted base, and what a training with it ships."""
    root = tmp_path_factory.mktemp("embedded")
    text = toy_text_model(root / "cache" / base.NAME, texts=letters())
    sizes = {name: (text / name).stat().st_size for name in base.NEEDED_FILES}
    made = {"source_sha256": base.SHA256, "bytes": sizes}
    (text / base.MANIFEST).write_text(json.dumps(made))
    whole = load_checkpoint(toy_checkpoint(root / "w", soft=False, texts=letters()), EXACT)
    facts = BaseFacts(base.NAME, inspect(text, base.NAME, TEXT).fingerprint, 32)
    adapted = add_adapter(whole.network, Rank(r=4))
    save_adapter(adapted, root / "shipped" / "adapter", facts)
    write_parts(root / "shipped", adapted.unload(), facts, torch.float32)
    return root


@pytest.fixture
def embedded(shipped, tmp_path, monkeypatch):
    """The same where a user has them, to spoil."""
    monkeypatch.setenv("VOXCITE_CACHE", str(shipped / "cache"))
    return shutil.copytree(shipped / "shipped", tmp_path / "shipped")


@pytest.fixture
def report_file(tmp_path):
    ledger, words, exam = plain_ledger(), load("en"), exams.load("hippocampus")
    report = finish(template_draft(ledger, exam, words), ledger, exam, words, {})
    (tmp_path / "report.json").write_bytes(report_bytes(report))
    return tmp_path / "report.json"


@pytest.fixture
def head_file(tmp_path, monkeypatch):
    """Every head lies where the template does, and is segmented without weights."""
    monkeypatch.setattr("segment.models.load", lambda name, *given: ThresholdSegmenter())
    monkeypatch.setattr("segment.models.calibrated", lambda name, *given: calibrated())
    monkeypatch.setattr("assistant.pipeline.register", lambda volume: registered())
    volume = head(field_mm=110).volume
    image = nibabel.Nifti1Image(volume.array, volume.geometry.affine)
    image.header.set_xyzt_units("mm")
    image.to_filename(tmp_path / "head.nii.gz")
    return tmp_path / "head.nii.gz"


def run(*arguments):
    return main([str(argument) for argument in arguments])


def refused(capsys, *arguments):
    """Return the one sentence with which a command was refused."""
    assert run(*arguments) == REFUSED
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("voxcite: ")
    assert "/" not in said.err.replace("nobody/nothing", "")
    return said.err


@pytest.mark.slow
def test_a_whole_model_drafts_a_report_that_holds(folder, head_file, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("draft", head_file, "-o", out, *VLM, "--model", folder, "--seed", "7") == OK
    table = json.loads((out / "report.json").read_text(encoding="utf-8"))
    made = table["provenance"]
    assert (made["writer"], made["seed"], made["language_model"]) == ("vlm", 7, "medgemma-toy")
    assert made["plan"]["model"] == "medgemma-toy"
    assert str(folder.parent) not in json.dumps(table)
    assert run("verify", out / "report.json") == OK


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--model", "--adapter"])
def test_what_training_wrote_answers(option, embedded, report_file, capsys):
    assert run("ask", report_file, QUESTION, *VLM, option, embedded) == OK
    assert capsys.readouterr().out.startswith("- ")


@pytest.mark.slow
def test_an_adapter_goes_onto_a_whole_model(folder, report_file, tmp_path, capsys):
    model = load_checkpoint(folder, EXACT)
    save_adapter(add_adapter(model.network, Rank(r=4)), tmp_path / "mine", model.base)
    own = ["--model", folder, "--adapter", tmp_path / "mine"]
    assert run("ask", report_file, QUESTION, *VLM, *own) == OK


def test_a_draft_without_its_model_is_one_sentence_and_no_file(head_file, tmp_path, capsys):
    out = tmp_path / "Quetzal" / "out"
    said = refused(capsys, "draft", head_file, "-o", out, *VLM, "--model", tmp_path / "none")
    assert "expected the folder of a model, found none called 'none'" in said
    assert not out.parent.exists()


def test_a_draft_falls_back_only_when_asked_to(head_file, tmp_path, capsys):
    options = [*VLM, "--model", tmp_path / "none", "--fallback"]
    assert run("draft", head_file, "-o", tmp_path / "out", *options) == OK
    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert load("en").phrases["technique.fallback"] in report
    assert run("verify", tmp_path / "out" / "report.json") == OK
    table = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert table["provenance"]["fallback"] == "missing"
    assert table["provenance"]["writer"] == "template"


def test_an_answer_in_the_models_place_says_so(report_file, tmp_path, capsys):
    options = [*VLM, "--model", tmp_path / "none", "--fallback"]
    assert run("ask", report_file, QUESTION, *options) == OK
    assert load("en").phrases["technique.fallback"] in capsys.readouterr().err


def test_trained_parts_that_are_not_there_are_named(report_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sources, "embedded_parts", lambda: tmp_path / "weights")
    said = refused(capsys, "ask", report_file, QUESTION, *VLM)
    assert "expected the trained parts of the vision-language writer" in said


def test_a_model_of_another_class_is_refused(copy, report_file, capsys):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"architectures": ["LlavaModel"]}))
    assert "found LlavaModel" in refused(capsys, "ask", report_file, "Why?", *VLM, "--model", copy)


def test_a_model_that_lacks_a_shard_is_refused(copy, report_file, capsys):
    (copy / "model-00002-of-00002.safetensors").unlink()
    said = refused(capsys, "ask", report_file, "Why?", *VLM, "--model", copy)
    assert "model-00002-of-00002.safetensors" in said


def test_parts_that_fail_their_hash_are_refused(embedded, report_file, capsys):
    path = embedded / "projector.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    said = refused(capsys, "ask", report_file, "Why?", *VLM, "--model", embedded)
    assert "projector.safetensors: expected sha256" in said


def test_an_adapter_of_another_base_is_refused(folder, embedded, report_file, capsys):
    own = ["--model", folder, "--adapter", embedded / "adapter"]
    said = refused(capsys, "ask", report_file, "Why?", *VLM, *own)
    assert f"expected {base.NAME}, for which it was made, found medgemma-toy" in said


def test_a_model_for_which_there_is_no_memory_is_refused(folder, report_file, capsys, monkeypatch):
    monkeypatch.setattr("assistant.writers.vlm.model.available_bytes", lambda device: 200_000_000)
    said = refused(capsys, "ask", report_file, "Why?", *VLM, "--model", folder)
    assert "expected 0.3 GB of free memory, found 0.2 GB" in said
    assert "the template writer" in said


def test_a_name_on_the_hub_is_refused_while_offline(report_file, capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    said = refused(capsys, "ask", report_file, "Why?", *VLM, "--model", "nobody/nothing")
    assert "offline" in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused(folder, report_file, capsys):
    options = ["--writer", "vlm", "--device", "cuda", "--model", folder]
    assert "expected a GPU" in refused(capsys, "ask", report_file, "Why?", *options)


def test_a_model_for_the_template_writer_is_refused(report_file, tmp_path, capsys):
    options = ["--writer", "template", "--model", tmp_path]
    said = refused(capsys, "ask", report_file, "Why?", *options)
    assert "the template writer takes no model" in said


WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {{"transformers", "peft", "tokenizers", "open_clip"}}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from assistant.cli import main
sys.exit(main({arguments!r}))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [["train", "writer"], ["train", "reader"], ["ask", "{}", "Why?", "--writer", "vlm"]],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_without_the_extra_its_name_is_all_that_is_said(arguments, report_file, tmp_path):
    given = [argument.format(report_file) for argument in arguments]
    if given[0] == "ask":
        given += ["--model", str(tmp_path)]
    code = WITHOUT.format(arguments=given)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == REFUSED
    assert done.stderr.count("\n") == 1
    assert "pip install voxcite" in done.stderr


def test_a_module_of_ours_that_is_missing_is_a_fault_and_no_package(monkeypatch):
    def absent(chosen):
        raise ModuleNotFoundError(name="assistant.lost")

    monkeypatch.setattr("assistant.cli.listing.run_list", absent)
    with pytest.raises(ModuleNotFoundError):
        run("list")


def test_a_list_names_the_readers(capsys):
    run("list")
    assert f"readers: {', '.join(readers.available())}" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["draft", "segment"])
def test_the_help_says_what_a_study_and_a_series_may_be(command, capsys):
    with pytest.raises(SystemExit):
        run(command, "--help")
    printed = " ".join(capsys.readouterr().out.split())
    assert "DICOMDIR" in printed
    assert "N.V is the V-th volume of series N" in printed
