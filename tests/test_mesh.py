"""`voxcite mesh` writes what a draft found and says what each surface encloses."""

import json
import re
import shutil

import nibabel
import numpy as np
import pytest
import trimesh
from scipy.ndimage import binary_dilation, binary_erosion

from assistant.cli import DOES_NOT_HOLD, NOTHING_MEASURED, OK, REFUSED, main
from assistant.folder import ENTROPY, LABELS, PROBABILITY, REPORT
from assistant.output import write_draft
from assistant.probability import probability_of, read_probability
from assistant.report import report_from_json
from assistant.study import Study
from assistant.surfaces import draft_surfaces, label_surfaces
from assistant.written import now
from segment.infer import Found
from segment.segmentation import Segmentation
from tests.phantoms import ThresholdSegmenter, ball, grid, head, registered
from tests.shared_data import REPOSITORY, shared_data
from tests.supplied import write_pair
from tests.test_pipeline import assistant_of
from tests.test_readme import shown

NAMES = ("hippocampus", "hippocampus anterior", "hippocampus posterior")
HEAD = head((1.5, 1.5, 2.0), field_mm=110.0)


def run(*arguments):
    return main(["mesh", *(str(argument) for argument in arguments)])


def refusal(capsys):
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


@pytest.fixture(scope="module")
def drafted(tmp_path_factory):
    """The folder of a draft, its report, and its volume by formula."""
    folder = tmp_path_factory.mktemp("draft")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("assistant.pipeline.register", lambda volume: registered())
        report = write(folder, Study(HEAD.volume, "head"))
    return folder, report


def write(folder, study, side=None):
    """Draft a study, or a crop of a side of it, into a folder."""
    assistant = assistant_of(ThresholdSegmenter((0.2, -0.1)))
    if side is None:
        segmented = assistant.segment(study.volume, registered())
    else:
        segmented = assistant.crop(study, side)
    *_, report = assistant.report(study, segmented)
    write_draft(folder, study, segmented, report, now())
    return report


@pytest.fixture
def copy(drafted, tmp_path):
    return shutil.copytree(drafted[0], tmp_path / "copy")


def test_a_draft_keeps_a_probability_that_makes_its_labels(drafted):
    labels = nibabel.load(drafted[0] / LABELS)
    kept = read_probability(drafted[0] / PROBABILITY)
    offset = np.linalg.inv(labels.affine) @ kept.geometry.affine[:, 3]
    start = offset[:3].round().astype(int)
    block = tuple(slice(s, s + n) for s, n in zip(start, kept.geometry.shape, strict=True))
    array = np.asarray(labels.dataobj)
    assert np.count_nonzero(array[block]) == np.count_nonzero(array)
    assert np.mean(kept.with_background.argmax(axis=0) == array[block]) > 0.9999
    assert np.allclose(kept.with_background.sum(axis=0), 1, atol=0.01)
    assert len(kept.array) == 4


def test_the_surfaces_of_a_draft_enclose_what_its_records_count(drafted):
    folder, report = drafted
    found = draft_surfaces(folder, report)
    assert [one.subject.record.id for one in found] == ["m1", "m2", "m3", "m4", "m5", "m6"]
    for one in found:
        assert one.voxels_ml == pytest.approx(one.subject.record.value)
        assert one.surface.is_watertight
        assert one.surface.volume_ml == pytest.approx(one.voxels_ml, rel=0.05)
    wholes = [one for one in found if one.subject.name.endswith("hippocampus")]
    assert len(wholes) == 2
    for one in wholes:
        assert one.surface.volume_ml == pytest.approx(HEAD.volume_ml, rel=0.05)


def test_each_surface_lies_on_its_own_side(drafted):
    for one in draft_surfaces(*drafted):
        x_mm = one.surface.points[:, 0]
        assert (x_mm < 0).all() if one.subject.name.startswith("left") else (x_mm > 0).all()


def test_the_uncertainty_of_a_surface_is_that_of_the_voxels_around_it(drafted):
    entropy = np.asarray(nibabel.load(drafted[0] / ENTROPY).dataobj)
    inside = np.isin(np.asarray(nibabel.load(drafted[0] / LABELS).dataobj), (1, 2))
    border = binary_dilation(inside) & ~binary_erosion(inside)
    (whole, *_) = draft_surfaces(*drafted)
    assert np.ptp(whole.surface.uncertainty) > 0.1
    assert whole.surface.uncertainty.mean() == pytest.approx(entropy[border].mean(), rel=0.15)


def test_the_command_writes_each_structure_and_prints_both_volumes(drafted, tmp_path, capsys):
    assert run(drafted[0], "-o", tmp_path, "--to", "obj,glb,stl") == OK
    stems = {f"{side}_{name.replace(' ', '_')}" for side in ("left", "right") for name in NAMES}
    expected = {f"{stem}.{kind}" for stem in stems for kind in ("glb", "stl", "obj")}
    assert {path.name for path in tmp_path.iterdir()} == expected
    said = capsys.readouterr().out
    assert said.startswith("DRAFT. ")
    assert f"shape: {PROBABILITY}" in said
    assert f"colour: {ENTROPY}" in said
    line = next(line for line in said.splitlines() if line.startswith("m1 left hippocampus: "))
    record = drafted[1].measurements[0]
    mesh = trimesh.load(tmp_path / "left_hippocampus.stl")
    assert f": {mesh.volume / 1000:.2f} mL inside, {record.value:.2f} mL of voxels (" in line
    assert "; watertight; entropy 0." in line


def test_without_a_probability_the_voxels_are_smoothed_and_it_is_said(copy, tmp_path, capsys):
    (copy / PROBABILITY).unlink()
    assert run(copy) == OK
    assert f"shape: the voxels of {LABELS}, smoothed; no {PROBABILITY}" in capsys.readouterr().out
    assert (copy / "left_hippocampus.glb").is_file()


def test_without_an_entropy_surfaces_are_grey_and_it_is_said(copy, capsys):
    (copy / ENTROPY).unlink()
    assert run(copy, "--to", "obj") == OK
    said = capsys.readouterr().out
    assert f"colour: grey; no {ENTROPY}" in said
    assert "entropy 0" not in said
    text = (copy / "left_hippocampus.obj").read_text().splitlines()
    rgb = {tuple(line.split()[4:]) for line in text if line.startswith("v ")}
    assert len(rgb) == 1


def moved(path, shift_voxels):
    image = nibabel.load(path)
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ shift_voxels
    nibabel.Nifti1Image(np.asarray(image.dataobj), affine).to_filename(path)


OTHERS = [(PROBABILITY, (0.5, 0, 0)), (PROBABILITY, (3, 0, 0)), (PROBABILITY, (-500, 0, 0))]


@pytest.mark.parametrize(("name", "shift"), [*OTHERS, (ENTROPY, (1, 0, 0))])
def test_maps_of_another_scan_are_refused(copy, name, shift, capsys):
    moved(copy / name, shift)
    assert run(copy) == REFUSED
    assert f"{name}: expected what belongs to {LABELS}, found another scan's" in refusal(capsys)
    assert not list(copy.glob("*.glb"))


def test_labels_that_the_records_do_not_count_are_refused(copy, capsys):
    (copy / PROBABILITY).unlink()
    image = nibabel.load(copy / LABELS)
    array = np.asarray(image.dataobj).copy()
    array[tuple(np.argwhere(array == 1)[0])] = 0
    nibabel.Nifti1Image(array, image.affine).to_filename(copy / LABELS)
    assert run(copy) == REFUSED
    assert "voxels of m1, found" in refusal(capsys)


@pytest.mark.parametrize("content", [b"no image", b""])
def test_a_damaged_probability_is_refused(copy, content, capsys):
    (copy / PROBABILITY).write_bytes(content)
    assert run(copy) == REFUSED
    assert f"{PROBABILITY}: expected the probability of each label" in refusal(capsys)


def test_a_probability_of_three_dimensions_is_refused(copy, capsys):
    shutil.copy(copy / ENTROPY, copy / PROBABILITY)
    assert run(copy) == REFUSED
    assert "found 3 dimensions" in refusal(capsys)


def tampered(path, change):
    image = nibabel.load(path)
    array = change(np.asarray(image.dataobj, dtype=np.float32))
    nibabel.Nifti1Image(array, image.affine).to_filename(path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda array: np.full_like(array, 0.475), "found some that add up to 1.9;"),
        (lambda array: array + 0.5, "found 0.5 to 1.48;"),
        (lambda array: array - 0.5, "found -0.5 to 0.476;"),
        (lambda array: np.where(array > 0.5, np.nan, array), "found nan to nan;"),
    ],
)
def test_what_is_no_probability_is_not_drawn(copy, change, told, capsys):
    tampered(copy / PROBABILITY, change)
    assert run(copy) == REFUSED
    said = refusal(capsys)
    assert "from 0 to 1 and together at most 1, " + told in said
    assert not list(copy.glob("*.glb"))


def test_sides_that_claim_the_same_voxels_share_them():
    structures, where = ("background", "anterior", "posterior"), grid(field_mm=10)
    certain = np.stack([np.full(where.shape, p, np.float32) for p in (0.1, 0.6, 0.3)])[None]
    sides = [
        Found(
            side,
            Segmentation(certain, structures, side, where, "toy"),
            (0, 0, 0),
            0.0,
            is_truncated=False,
        )
        for side in ("left", "right")
    ]
    shared = probability_of(where, sides).array
    assert np.allclose(shared.sum(axis=0), 1)
    assert np.allclose(shared[0], 0.6 / 1.8)


def test_a_report_that_does_not_hold_is_not_drawn(copy, capsys):
    table = json.loads((copy / REPORT).read_text())
    table["measurements"][0]["value"] = 99.0
    (copy / REPORT).write_text(json.dumps(table))
    assert run(copy) == DOES_NOT_HOLD
    assert "no surface is drawn" in capsys.readouterr().err


def test_a_folder_that_is_no_draft_is_refused(tmp_path, capsys):
    assert run(tmp_path) == REFUSED
    assert "report.json: expected a report.json" in refusal(capsys)


@pytest.mark.parametrize(
    ("options", "told"),
    [(["--to", "glb,ply"], "found 'ply'"), (["--labels", "table.csv"], "leave it out")],
)
def test_options_that_make_no_sense_are_refused(drafted, options, told, tmp_path, capsys):
    assert run(drafted[0], "-o", tmp_path, *options) == REFUSED
    assert told in refusal(capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_crop_of_one_side_has_labels_of_its_own(side, tmp_path):
    phantom = ball(grid(field_mm=40), 9)
    report = write(tmp_path, Study(phantom.volume, "crop"), side)
    found = list(draft_surfaces(tmp_path, report))
    assert [one.subject.name for one in found] == [f"{side} {name}" for name in NAMES]
    assert found[0].surface.volume_ml == pytest.approx(phantom.volume_ml, rel=0.05)


def test_of_a_supplied_segmentation_the_voxels_are_drawn_and_withheld_volumes_are_not_stated(
    tmp_path, capsys
):
    scan, mask = write_pair(tmp_path)
    out = tmp_path / "out"
    options = ["--exam", "ct-organs", "--segmentation", str(mask), "-o", str(out)]
    assert main(["draft", str(scan), *options]) == 0
    capsys.readouterr()
    assert run(out) == OK
    lines = dict(
        line.split(": ", 1) for line in capsys.readouterr().out.splitlines() if ": " in line
    )
    assert lines["m1 liver"].startswith("not reliable (truncated), so no volume is stated; open")
    assert "mL inside, " in lines["m2 spleen"]
    assert lines["m2 spleen"].endswith("watertight")
    assert (out / "spleen.glb").is_file()


def labels_file(path, labels, extension=b""):
    image = nibabel.Nifti1Image(labels, np.diag([2.0, 2.0, 2.0, 1.0]))
    image.header.set_xyzt_units("mm")
    if extension:
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, extension))
    image.to_filename(path)
    return path


def three_labels():
    labels = np.zeros((16, 16, 16), np.uint8)
    labels[2:7, 2:7, 2:7], labels[9:14, 9:14, 9:14], labels[0:4, 9:14, 2:7] = 1, 2, 3
    return labels


def test_a_file_of_labels_is_drawn_under_its_numbers(tmp_path, capsys):
    path = labels_file(tmp_path / "labels.nii.gz", three_labels())
    assert run(path, "-o", tmp_path / "out") == OK
    said = capsys.readouterr().out
    assert f"shape: the voxels of {path.name}" in said
    assert "label 1: " in said
    assert "; watertight" in said
    assert "label 3: 0.80 mL of voxels, no volume inside; open" in said
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"label_1.glb", "label_2.glb", "label_3.glb"}


def test_labels_are_called_by_the_names_in_the_file_or_in_the_table(tmp_path):
    named = b'<Label Key="1" Red="1"><![CDATA[cyst]]></Label><Label Key="2"><![CDATA[cyst]]>'
    path = labels_file(tmp_path / "labels.nii.gz", three_labels(), named)
    assert [one.name for one in label_surfaces(path).subjects] == ["cyst", "label 3"]
    table = tmp_path / "table.csv"
    table.write_text("value,name,structure,side\n1,../odd name,,\n2,..+odd name,,\n3,b,,\n")
    assert run(path, "--labels", table, "-o", tmp_path / "out") == OK
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {".._odd_name.glb", ".._odd_name_.glb", "b.glb"}


def test_a_file_without_a_label_has_no_surface(tmp_path, capsys):
    path = labels_file(tmp_path / "labels.nii.gz", np.zeros((4, 4, 4), np.uint8))
    assert run(path) == NOTHING_MEASURED
    assert list(tmp_path.iterdir()) == [path]


NUMBER = re.compile(r"[-+]?\d+\.\d+")


@pytest.mark.slow
def test_the_samples_surfaces_are_those_that_the_page_shows(tmp_path, capsys):
    assert main(["draft", "sample", "--writer", "template", "-o", str(tmp_path)]) == OK
    capsys.readouterr()
    assert run(tmp_path) == OK
    printed = capsys.readouterr().out.strip()
    page = shown((REPOSITORY / "docs" / "surfaces.md").read_text(encoding="utf-8"))["mesh"]
    assert NUMBER.sub("N", printed) == NUMBER.sub("N", page)
    found, expected = ([float(n) for n in NUMBER.findall(text)] for text in (printed, page))
    assert found == pytest.approx(expected, rel=0.02, abs=0.3)


@pytest.mark.slow
def test_the_samples_hippocampi_enclose_nearly_what_their_voxels_do(tmp_path):
    assert main(["draft", "sample", "--writer", "template", "-o", str(tmp_path)]) == OK
    report = report_from_json(json.loads((tmp_path / REPORT).read_text()))
    found = list(draft_surfaces(tmp_path, report))
    assert len(found) == 6
    for one in found:
        assert one.surface.is_watertight
        assert one.surface.volume_ml == pytest.approx(one.voxels_ml, rel=0.03)


def test_an_experts_tracing_encloses_nearly_what_its_voxels_do():
    path = shared_data("hippocampus", "labels", "hippocampus_001.nii.gz")
    for one in label_surfaces(path):
        assert one.surface.is_watertight
        assert one.surface.volume_ml == pytest.approx(one.voxels_ml, rel=0.03)
