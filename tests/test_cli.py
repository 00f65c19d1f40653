"""The command line: one sentence for what is refused, whole files or none, and the right code."""

import json
import re
import resource
import subprocess
import sys
from importlib.resources import files

import nibabel
import numpy as np
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

import prompts
from assistant import exams, rules, writers
from assistant.cli import DOES_NOT_HOLD, NOTHING_MEASURED, OK, REFUSED, main
from assistant.records import schema
from segment import models, organs
from segment.errors import without_folders
from tests.hostile.catalogue import BAD_INPUTS, make
from tests.phantoms import ThresholdSegmenter, ball, calibrated, grid, head, registered
from tests.shared_data import shared_data

HEAVY = ["torch", "monai", "SimpleITK", "numpy", "nibabel", "scipy", "pydicom", "PIL"]
SIDES = ["--crop", "--side", "left"]
every_bad_input = pytest.mark.parametrize("kind", BAD_INPUTS)


@pytest.fixture
def without_weights(monkeypatch):
    """Put a segmenter of phantoms and its calibration in the place of the shipped one."""
    monkeypatch.setattr("segment.models.load", lambda name, *given: ThresholdSegmenter())
    monkeypatch.setattr("segment.models.calibrated", lambda name, *given: calibrated())


@pytest.fixture
def in_place(monkeypatch, without_weights):
    """Every head lies where the template does."""
    for module in ("assistant.pipeline", "segment.register"):
        monkeypatch.setattr(f"{module}.register", lambda volume: registered())


@pytest.fixture
def nowhere(monkeypatch, without_weights):
    """No head is found."""
    for module in ("assistant.pipeline", "segment.register"):
        monkeypatch.setattr(f"{module}.register", lambda volume: registered(similarity=0.0))


@pytest.fixture(scope="module")
def head_file(tmp_path_factory):
    return written(head(field_mm=110).volume, tmp_path_factory.mktemp("scans") / "head.nii.gz")


@pytest.fixture(scope="module")
def crop_file(tmp_path_factory):
    crop = ball(grid((1.0, 1.2, 0.9), field_mm=40, axes="PSL", rotation_deg=(4, 5, 6)), 9).volume
    return written(crop, tmp_path_factory.mktemp("scans") / "crop.nii.gz")


def written(volume, path):
    image = nibabel.Nifti1Image(volume.array, volume.geometry.affine)
    image.header.set_xyzt_units("mm")
    image.to_filename(path)
    return path


TEMPLATE = ("--writer", "template")


def run(*arguments):
    return main([str(argument) for argument in arguments])


def one_sentence(capsys):
    """Return what was said on standard error: one line; nothing was printed."""
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("voxcite: ")
    return said.err


def violations(name, path):
    """List what a file breaks of a published schema."""
    shared = schema("measurements")
    registry = Registry().with_resource(shared["$id"], Resource.from_contents(shared))
    table = json.loads(path.read_text(encoding="utf-8"))
    return list(Draft202012Validator(schema(name), registry=registry).iter_errors(table))


def records_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["measurements"]


def test_help_takes_less_than_a_second():
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    code = "import sys; from assistant.cli import main; main(['--help'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 1.0
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("draft", "segment", "verify", "not a medical"))


def test_help_loads_nothing_heavy():
    code = (
        "import atexit, sys; from assistant.cli import main;"
        f"atexit.register(lambda: print('LOADED', [n for n in {HEAVY} if n in sys.modules]));"
        "main(['--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.rstrip().endswith("LOADED []")


@every_bad_input
def test_a_bad_input_to_draft_is_refused_in_one_line_and_leaves_nothing(
    kind, tmp_path, capsys, without_weights
):
    above, output = tmp_path / "Quetzal_Rare", tmp_path / "Oriole" / "out"
    above.mkdir()
    path, code = make(kind, above)
    assert run("draft", path, *TEMPLATE, "-o", output) == REFUSED
    sentence = one_sentence(capsys)
    assert sentence.endswith(f"[{code}]\n")
    assert not re.search("Quetzal|Oriole|Traceback", sentence)
    assert not output.parent.exists()


@pytest.mark.slow
@every_bad_input
def test_a_bad_crop_is_refused_in_one_line_and_leaves_nothing(
    kind, tmp_path, capsys, without_weights
):
    above, output = tmp_path / "Quetzal_Rare", tmp_path / "Oriole"
    above.mkdir()
    output.mkdir()
    path, code = make(kind, above)
    assert run("segment", path, "-o", output / "labels.nii.gz", *SIDES) == REFUSED
    sentence = one_sentence(capsys)
    assert sentence.endswith(f"[{code}]\n")
    assert not re.search("Quetzal|Oriole", sentence)
    assert list(output.iterdir()) == []


def test_a_crop_given_as_a_head_is_told_of_the_option(crop_file, tmp_path, capsys, without_weights):
    assert run("draft", crop_file, *TEMPLATE, "-o", tmp_path / "out") == REFUSED
    assert "--crop" in one_sentence(capsys)


def test_a_head_given_as_a_crop_is_refused(head_file, tmp_path, capsys, without_weights):
    assert run("segment", head_file, "-o", tmp_path / "labels.nii.gz", *SIDES) == REFUSED
    assert "leave --crop out" in one_sentence(capsys)


@pytest.mark.parametrize("options", [["--crop"], ["--side", "left"]])
def test_crop_and_side_belong_together(options, crop_file, tmp_path, capsys):
    assert run("segment", crop_file, "-o", tmp_path / "labels.nii.gz", *options) == REFUSED
    assert "--crop and --side belong together" in one_sentence(capsys)


def test_labels_are_written_as_nifti_or_not_at_all(crop_file, tmp_path, capsys):
    assert run("segment", crop_file, "-o", tmp_path / "labels.png", *SIDES) == REFUSED
    assert "ends in .nii.gz" in one_sentence(capsys)


@pytest.mark.parametrize("command", ["draft", "segment"])
def test_an_output_that_cannot_be_written_is_refused_before_any_work(
    command, tmp_path, capsys, without_weights
):
    (tmp_path / "Quetzal").mkdir()
    taken = tmp_path / "Quetzal" / "out"
    taken.write_text("a file in the place of the folder")
    output = {"draft": taken, "segment": taken / "labels.nii.gz"}[command]
    assert run(command, tmp_path / "absent.nii.gz", "-o", output) == REFUSED
    sentence = one_sentence(capsys)
    assert sentence.startswith("voxcite: out: expected a folder to write to")
    assert "Quetzal" not in sentence
    assert taken.read_text() == "a file in the place of the folder"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--exam", "spleen"], "unknown exam 'spleen'; there are"),
        (["--language", "xx"], "unknown language 'xx'; there are"),
    ],
)
def test_an_unknown_choice_lists_what_there_is(options, message, head_file, tmp_path, capsys):
    assert run("draft", head_file, *TEMPLATE, "-o", tmp_path / "out", *options) == REFUSED
    assert message in one_sentence(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "segmenter", "--config", "{}/plan.toml"],
        ["calibrate", "--config", "{}/plan.toml"],
        ["train", "segmenter", "--data", "{}/data"],
        ["evaluate", "--images", "{}/images", "--labels", "{}/labels"],
        ["verify", "{}/report.json"],
    ],
    ids=lambda arguments: " ".join(arguments[:3]),
)
def test_a_file_that_is_missing_is_named_without_its_folder(
    arguments, tmp_path, capsys, without_weights
):
    folder = str(tmp_path / "Quetzal")
    assert run(*(argument.format(folder) for argument in arguments)) == REFUSED
    assert "Quetzal" not in one_sentence(capsys)


def test_a_draft_writes_report_labels_and_pictures_and_prints_the_report(
    head_file, tmp_path, capsys, in_place
):
    assert run("draft", head_file, *TEMPLATE, "-o", tmp_path) == OK
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "entropy.nii.gz",
        "mutual_information.nii.gz",
        "overlay_hippocampus_left.png",
        "overlay_hippocampus_right.png",
        "probability.nii.gz",
        "report.json",
        "report.md",
        "segmentation.nii.gz",
    ]
    assert capsys.readouterr().out == (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "DRAFT" in (tmp_path / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("language", prompts.languages())
def test_a_drafted_report_keeps_its_schema_and_verifies(
    language, head_file, tmp_path, capsys, in_place
):
    assert run("draft", head_file, *TEMPLATE, "-o", tmp_path, "--language", language) == OK
    assert violations("report", tmp_path / "report.json") == []
    assert run("verify", tmp_path / "report.json") == OK
    assert "0 problems" in capsys.readouterr().out


def test_two_drafts_differ_in_their_time_alone(head_file, tmp_path, monkeypatch, in_place):
    times = iter(["2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"])
    monkeypatch.setattr("assistant.written.now", lambda: next(times))
    tables = []
    for name in ("one", "two"):
        run("draft", head_file, *TEMPLATE, "-o", tmp_path / name)
        tables.append(json.loads((tmp_path / name / "report.json").read_text(encoding="utf-8")))
    one, two = tables
    assert one.pop("created") < two.pop("created")
    assert one == two


@pytest.mark.parametrize(
    ("old", "new"),
    [(r"2\.\d+ mL", "9.99 mL"), ("left hippocampus", "right hippocampus"), (" mL", " mm3")],
    ids=["value", "side", "unit"],
)
def test_a_tampered_report_does_not_hold(old, new, head_file, tmp_path, capsys, in_place):
    run("draft", head_file, *TEMPLATE, "-o", tmp_path)
    path = tmp_path / "report.json"
    table = json.loads(path.read_text(encoding="utf-8"))
    number = next(
        i for i, line in enumerate(table["lines"]) if re.search(r"2\.\d+ mL", line["text"])
    )
    table["lines"][number]["text"] = re.sub(old, new, table["lines"][number]["text"], count=1)
    path.write_text(json.dumps(table), encoding="utf-8")
    capsys.readouterr()
    assert run("verify", path) == DOES_NOT_HOLD
    assert ", 0 problems" not in capsys.readouterr().out


def test_a_draft_in_which_nothing_was_measured_says_so_by_its_code(
    head_file, tmp_path, capsys, nowhere
):
    assert run("draft", head_file, *TEMPLATE, "-o", tmp_path) == NOTHING_MEASURED
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "entropy.nii.gz",
        "mutual_information.nii.gz",
        "report.json",
        "report.md",
        "segmentation.nii.gz",
    ]
    capsys.readouterr()
    assert run("verify", tmp_path / "report.json") == OK


def test_a_file_that_is_no_report_is_refused(tmp_path, capsys):
    (tmp_path / "report.json").write_text("no json", encoding="utf-8")
    assert run("verify", tmp_path / "report.json") == REFUSED
    assert "report.json: expected a report.json" in one_sentence(capsys)


@pytest.mark.parametrize("table", [[], "report", 3, None])
def test_json_that_is_no_table_is_refused(table, tmp_path, capsys):
    (tmp_path / "report.json").write_text(json.dumps(table), encoding="utf-8")
    assert run("verify", tmp_path / "report.json") == REFUSED
    assert "report.json: expected a report.json" in one_sentence(capsys)


@pytest.mark.parametrize("table", [{}, {"lines": 3}, {"lines": [3]}, {"lines": []}])
def test_a_table_that_is_no_report_does_not_hold(table, tmp_path):
    (tmp_path / "report.json").write_text(json.dumps(table), encoding="utf-8")
    assert run("verify", tmp_path / "report.json") == DOES_NOT_HOLD


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_crop_is_counted_on_its_own_grid(side, crop_file, tmp_path, capsys, without_weights):
    labels, table = tmp_path / "labels.nii.gz", tmp_path / "measurements.json"
    options = ["-o", labels, "--json", table, "--crop", "--side", side]
    assert run("segment", crop_file, *options) == OK
    image, scan = nibabel.load(labels), nibabel.load(crop_file)
    voxel_ml = abs(np.linalg.det(scan.affine[:3, :3])) / 1000
    counted = np.asarray(image.dataobj)
    assert np.allclose(image.affine, scan.affine)
    assert image.shape == scan.shape
    expected = [(counted > 0).sum(), (counted == 1).sum(), (counted == 2).sum()]
    records = records_of(table)
    assert [record["value"] for record in records] == pytest.approx(
        [count * voxel_ml for count in expected], rel=1e-5
    )
    assert {record["side"] for record in records} == {side}
    assert "DRAFT" in capsys.readouterr().out


def test_measurements_keep_their_schema(head_file, tmp_path, in_place):
    table = tmp_path / "measurements.json"
    assert run("segment", head_file, "-o", tmp_path / "labels.nii.gz", "--json", table) == OK
    assert violations("measurements", table) == []
    assert [record["id"] for record in records_of(table)] == [f"m{n}" for n in range(1, 8)]


def test_measurements_that_were_withheld_keep_their_schema(head_file, tmp_path, nowhere):
    table = tmp_path / "measurements.json"
    code = run("segment", head_file, "-o", tmp_path / "labels.nii.gz", "--json", table)
    assert code == NOTHING_MEASURED
    assert violations("measurements", table) == []
    assert {record["reliability"] for record in records_of(table)} == {"not assessed"}


def test_every_measurement_is_printed_with_its_interval(head_file, tmp_path, capsys, in_place):
    run("segment", head_file, "-o", tmp_path / "labels.nii.gz")
    printed = capsys.readouterr().out
    assert printed.count("90% prediction interval") == 7
    assert "m1 left hippocampus, volume: 2.78 mL" in printed


def test_a_training_crop_is_counted_by_the_shipped_model_on_its_own_grid(tmp_path, capsys):
    scan_path = min(shared_data("hippocampus", "images").glob("*.nii.gz"))
    labels, table = tmp_path / "labels.nii.gz", tmp_path / "measurements.json"
    code = run("segment", scan_path, "-o", labels, "--json", table, *SIDES)
    image, scan = nibabel.load(labels), nibabel.load(scan_path)
    voxel_ml = abs(np.linalg.det(scan.affine[:3, :3])) / 1000
    counted = np.asarray(image.dataobj)
    expected = [(counted > 0).sum(), (counted == 1).sum(), (counted == 2).sum()]
    assert code in (OK, NOTHING_MEASURED)
    assert np.allclose(image.affine, scan.affine)
    assert image.shape == scan.shape
    assert [record["value"] for record in records_of(table)] == pytest.approx(
        [count * voxel_ml for count in expected], rel=1e-5
    )
    assert violations("measurements", table) == []


def test_an_evaluation_of_exact_masks_is_perfect(crop_file, tmp_path, capsys, without_weights):
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    (tmp_path / "images" / "crop_001.nii.gz").write_bytes(crop_file.read_bytes())
    run("segment", crop_file, "-o", tmp_path / "labels" / "crop_001.nii.gz", *SIDES)
    folders = ["--images", tmp_path / "images", "--labels", tmp_path / "labels"]
    assert run("evaluate", *folders, "--json", tmp_path / "out.json", *SIDES) == OK
    table = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    dice = [row["mean"] for row in table["metrics"] if row["quantity"] == "dice"]
    assert dice == [1.0] * 3
    assert all(row["coverage_mean"] == 1 for row in table["coverage"])
    lines = capsys.readouterr().out.splitlines()
    told = [line for line in lines if " coverage, " in line]
    assert told
    assert all(line.endswith("; too few subjects to say") for line in told)
    assert all("(n = 1)" in line for line in lines if " dice " in line)


def test_what_is_no_head_is_not_evaluated_as_one(crop_file, tmp_path, capsys, in_place):
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "crop_001.nii.gz").write_bytes(crop_file.read_bytes())
    folders = ["--images", tmp_path / "images", "--labels", tmp_path / "labels"]
    assert run("evaluate", *folders) == REFUSED
    assert "[field-too-small]" in one_sentence(capsys)


def test_a_list_names_everything_that_can_be_chosen(capsys):
    assert run("list") == OK
    printed = capsys.readouterr().out
    for names in (
        exams.available(),
        organs.available(),
        models.available(),
        writers.available(),
        rules.available(),
        prompts.languages(),
    ):
        assert all(name in printed for name in names)


def test_a_list_tells_each_rule_with_its_limits_and_its_source(capsys):
    run("list")
    printed = capsys.readouterr().out
    assert "beyond_mean_of_controls: yearly volume trend below -1.41 %/a" in printed
    for rule in map(rules.load, rules.available()):
        assert rule.cited_as in printed
        assert rule.departs in printed


def test_a_list_says_which_networks_are_untrained_and_what_trains_them(capsys):
    run("list")
    printed = capsys.readouterr().out
    assert "  unetr: untrained; `voxcite train segmenter --network unetr` trains it\n" in printed
    assert "  unet: untrained" not in printed


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        (("--segmenter", "mamba"), "train it with `voxcite train segmenter --network mamba`"),
        (("--segmenter", "threshold"), "threshold has no calibration, so no interval"),
        (("--segmenter", "vnet"), "unknown segmenter 'vnet'; there are "),
        (("--weights", "nowhere"), "expected what `voxcite calibrate` writes at its end"),
    ],
    ids=["untrained", "no calibration", "unknown", "no weights"],
)
def test_a_segmenter_that_cannot_measure_is_refused(chosen, sentence, crop_file, tmp_path, capsys):
    command = ("segment", crop_file, "-o", tmp_path / "labels.nii.gz", *SIDES, *chosen)
    assert run(*command) == REFUSED
    assert sentence in one_sentence(capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_no_calibration_yet_is_told_what_writes_one(
    crop_file, tmp_path, capsys
):
    (tmp_path / "runs" / "counted").mkdir(parents=True)
    command = ("segment", crop_file, "-o", tmp_path / "labels.nii.gz", *SIDES)
    assert run(*command, "--weights", tmp_path / "runs") == REFUSED
    assert "found none in the folder of --weights; run it to its end" in one_sentence(capsys)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FileNotFoundError(2, "No such file or directory", "/p/a.csv"), "found none; give one"),
        (PermissionError(13, "Permission denied", "/p/a.csv"), "found permission denied; give"),
    ],
)
def test_a_file_that_cannot_be_had_is_told_by_its_name_in_words(error, told):
    assert without_folders(error).startswith("a.csv: expected ")
    assert told in without_folders(error)


@pytest.mark.slow
def test_weights_of_ones_own_are_those_that_segment(crop_file, tmp_path):
    labels = tmp_path / "shipped.nii.gz", tmp_path / "own.nii.gz"
    run("segment", crop_file, "-o", labels[0], *SIDES)
    run("segment", crop_file, "-o", labels[1], *SIDES, "--weights", files(models) / "unet")
    one, other = (np.asarray(nibabel.load(path).dataobj) for path in labels)
    assert np.array_equal(one, other)


def test_an_unknown_network_is_not_trained(tmp_path, capsys):
    command = ("train", "segmenter", "--network", "vnet", "--data", tmp_path, "--runs", tmp_path)
    assert run(*command) == REFUSED
    assert "unknown segmenter 'vnet'" in one_sentence(capsys)


def test_what_learns_nothing_is_not_trained(tmp_path, capsys):
    command = ("train", "segmenter", "--network", "threshold", "--data", tmp_path)
    assert run(*command, "--runs", tmp_path) == REFUSED
    assert "threshold has no network and learns nothing" in one_sentence(capsys)


def test_the_shipped_plan_is_where_the_command_looks_for_it():
    assert files("segment.models.training").joinpath("train.toml").is_file()


@pytest.mark.slow
def test_the_sample_is_drafted_as_a_template(tmp_path, capsys):
    code = run("draft", "sample", *TEMPLATE, "-o", tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert code in (OK, NOTHING_MEASURED)
    assert "template" in text
    assert run("verify", tmp_path / "report.json") == OK
