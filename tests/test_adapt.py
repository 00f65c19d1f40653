"""A structure that no model knows is learnt from labelled scans, and then stands in a draft."""

import json
import string
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import nibabel
import numpy as np
import pytest

import prompts
from assistant.adapting import adapted
from assistant.cli import OK, REFUSED, main
from prompts import adapt as patterns
from segment import models, organs
from segment.adapt.crops import crops_of_head, registered
from segment.adapt.plan import nearest
from segment.adapt.run import begun_with
from segment.adapt.scans import Labelled, Scan, find_scans, meanings, same_picture
from segment.calibration import Calibrated
from segment.errors import ScanError
from segment.geometry import Geometry
from segment.models.training.plan import case_name
from segment.models.training.start import Start
from segment.register import Registration
from segment.volume import Volume
from segment.writing import toml_text
from tests.shared_data import shared_data
from tests.toy_adapting import PLACE, SHAPE, TOY, boxes, prepared, request, write


def halves(folder, subjects=4):
    """Write crops of subjects that no shipped network has seen, divided anew at their middle."""
    data = shared_data("hippocampus")
    cases = json.loads((data / "split.json").read_text())["val"]
    for case in [c for c in cases if c % 2][:subjects]:
        image, label = (nibabel.load(data / k / case_name(case)) for k in ("images", "labels"))
        whole = np.asarray(label.dataobj) > 0
        middle = np.median(np.argwhere(whole)[:, 1])
        in_front = np.arange(whole.shape[1])[None, :, None] >= middle
        divided = (whole * np.where(in_front, 3, 7)).astype(np.uint8)
        name = f"sub-{case:03d}_hemi-L_T1w.nii.gz"
        write(folder, name, np.asarray(image.dataobj, np.float32), divided, image.affine)


@pytest.mark.slow
def test_a_new_structure_is_learnt_and_stands_in_a_draft(shelf, tmp_path, capsys):
    halves(tmp_path)
    (tmp_path / "toy.toml").write_text(toml_text(vars(TOY)))
    options = ["--images", tmp_path / "images", "--labels", tmp_path / "labels"]
    options += ["--organ", "hippocampal formation", "--centre=-24,-22,-10.5"]
    options += ["--structure", "3=front part", "--structure", "7=rear part"]
    options += ["--called", "zh:hippocampal formation=海马结构"]
    options += ["--config", tmp_path / "toy.toml", "--runs", tmp_path / "runs"]
    options += ["--coverage", "0.5"]
    assert main(["adapt", *map(str, options)]) == OK
    told = capsys.readouterr().out
    assert "4 boxes of 4 subjects, from unet" in told
    assert "Intervals of 50% from 4 subjects, out of fold" in told
    folder = shelf / "hippocampal_formation"
    structures = ["background", "front part", "rear part"]
    assert models.describe("hippocampal_formation")["structures"] == structures
    whole = organs.load("hippocampal_formation").structure("hippocampal formation")
    assert whole.plausible_ml[0] > 0.5
    calibrated = Calibrated.from_json((folder / "calibration.json").read_text())
    assert [len(scores) for scores in calibrated.levels[0].volume.values()] == [4] * 3
    card = (folder / "CARD.md").read_text()
    assert "none of them was held; new: nothing" in card
    assert "Intervals of 50% from 4 subjects" in card
    for language, name in (("en", "left hippocampal formation"), ("zh", "左侧海马结构")):
        out = tmp_path / language
        words = ["draft", "sample", "--exam", "hippocampal_formation", "--language", language]
        assert main([*words, "-o", str(out)]) == OK
        report = json.loads((out / "report.json").read_text())
        *volumes, asymmetry = report["measurements"]
        assert [record["structure"] for record in volumes[:3]] == [
            "hippocampal formation",
            "front part",
            "rear part",
        ]
        assert {record["calibration"]["n"] for record in volumes} == {4}
        assert all(record["interval"]["coverage"] == 0.5 for record in volumes)
        assert asymmetry["interval"] is None
        whole, front, rear = (record["value"] for record in volumes[:3])
        assert whole == pytest.approx(front + rear)
        assert 2 < whole < 6
        assert report["problems"] == []
        assert name in (out / "report.md").read_text()
        assert main(["verify", str(out / "report.json")]) == OK


def test_both_sides_of_a_subject_fall_into_one_fold_and_right_boxes_are_mirrored(tmp_path):
    names = [f"sub-{s}_hemi-{h}.nii.gz" for s in "abc" for h in "LR"]
    found, warnings = prepared(request(boxes(tmp_path, names)), tmp_path / "work")
    assert warnings == []
    assert found.split["train"] == [1, 2, 3, 4, 5, 6]
    assert found.split["folds"] == [[1, 2, 5, 6], [3, 4]]
    left, right = (
        np.asarray(nibabel.load(tmp_path / "work/data/labels" / f"amygdala_{n:03d}.nii.gz").dataobj)
        for n in (1, 2)
    )
    assert set(np.unique(left)) == {0, 1}
    assert np.array_equal(left, right[::-1])


def test_scans_of_mixed_orientation_and_spacing_become_one_grid(tmp_path):
    boxes(tmp_path, ["sub-a_hemi-L.nii.gz", "sub-b_hemi-L.nii.gz"])
    first = nibabel.load(tmp_path / "images" / "sub-a_hemi-L.nii.gz")
    turned = np.asarray(first.dataobj)[::-1].transpose(1, 0, 2)[:, :, ::2]
    label = np.asarray(nibabel.load(tmp_path / "labels" / "sub-a_hemi-L.nii.gz").dataobj)
    affine = np.array([[0, -1, 0, 29], [1, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1.0]])
    write(
        tmp_path, "sub-c_hemi-L.nii.gz", turned, label[::-1].transpose(1, 0, 2)[:, :, ::2], affine
    )
    found, _ = prepared(request(tmp_path), tmp_path / "work")
    volumes = found.volumes_ml["amygdala"]
    assert volumes[0] == pytest.approx(1.68)
    assert volumes[2] == pytest.approx(volumes[0], rel=0.1)
    shapes = {nibabel.load(path).shape for path in (tmp_path / "work/data/images").glob("*.nii.gz")}
    assert shapes == {SHAPE}


def test_one_subject_under_two_names_is_joined_and_warned_of(tmp_path):
    boxes(tmp_path, ["sub-a_hemi-L.nii.gz", "sub-b_hemi-L.nii.gz"])
    for kind in ("images", "labels"):
        again = nibabel.load(tmp_path / kind / "sub-a_hemi-L.nii.gz")
        again.to_filename(tmp_path / kind / "sub-c_hemi-R.nii")
    found, warnings = prepared(request(tmp_path), tmp_path / "work")
    assert warnings == ["sub-a_hemi-L.nii.gz and sub-c_hemi-R.nii hold one picture: one subject"]
    assert found.subjects == 2
    assert found.split["folds"] == [[1, 2], [3]]


def test_subjects_that_share_pictures_with_a_third_are_one():
    owners = {"a": "1", "b": "2", "c": "3", "d": "3", "e": "4"}
    scans = [Scan(Path(name), Path(name), subject) for name, subject in owners.items()]
    joined, warnings = same_picture(scans, {"a": "p", "b": "q", "c": "p", "d": "q", "e": "r"})
    *one, other = (scan.subject for scan in joined)
    assert len({*one}) == 1
    assert other not in one
    assert warnings == (
        "a and c hold one picture: one subject",
        "b and d hold one picture: one subject",
    )


def test_sides_whose_names_state_no_subject_are_of_one_and_a_warning_says_so(tmp_path):
    names = ["p01_hemi-L_T1w.nii.gz", "p01_hemi-R_T1w.nii", "p02_hemi-L_T1w.nii.gz"]
    found, warnings = prepared(request(boxes(tmp_path, names)), tmp_path / "work")
    assert found.split["folds"] == [[1, 2], [3]]
    (told,) = warnings
    assert told.startswith("whose scans they are is guessed from 3 names, such as p01_hemi-L_T1w")


def test_a_second_scan_of_a_side_is_left_out_with_a_warning(tmp_path):
    names = ["sub-a_hemi-L_run-1.nii.gz", "sub-a_hemi-L_run-2.nii.gz", "sub-b_hemi-L.nii.gz"]
    found, warnings = prepared(request(boxes(tmp_path, names)), tmp_path / "work")
    assert found.split["train"] == [1, 3]
    told = "sub-a_hemi-L_run-2.nii.gz: its subject has another scan of this side; left out"
    assert warnings == [told]


def test_an_organ_without_sides_needs_none_in_the_names(tmp_path):
    asked = request(boxes(tmp_path, ["sub-a.nii.gz", "sub-b.nii.gz"]), sides=("none",))
    found, _ = prepared(asked, tmp_path / "work")
    assert found.split["train"] == [1, 3]
    assert found.centres_mm == {"none": PLACE}


def test_whose_scans_they_are_can_be_told(tmp_path):
    boxes(tmp_path, ["a_hemi-L.nii.gz", "b_hemi-R.nii.gz", "c_hemi-L.nii.gz"])
    table = tmp_path / "subjects.csv"
    table.write_text("file,subject\na_hemi-L.nii.gz,x\nb_hemi-R.nii.gz,x\nc_hemi-L.nii.gz,y\n")
    found, _ = prepared(request(tmp_path, subjects=table), tmp_path / "work")
    assert found.split["folds"] == [[1, 2], [3]]
    table.write_text("file,subject\na_hemi-L.nii.gz,x\n")
    with pytest.raises(ValueError, match=r"found none for b_hemi-R\.nii\.gz"):
        prepared(request(tmp_path, subjects=table), tmp_path / "work")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "expected the columns file,subject, found ; correct"),
        ("name,subject\n", "expected the columns file,subject, found name,subject; correct"),
        ("file,subject\na.nii,\n", "a file and its subject in each row, found a.nii,; correct"),
        ("file,subject\na.nii\n", "a file and its subject in each row, found a.nii; correct"),
    ],
)
def test_another_table_of_subjects_is_refused(text, told, tmp_path):
    boxes(tmp_path, ["a_hemi-L.nii"])
    (tmp_path / "subjects.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"^subjects\.csv: .*{told}"):
        find_scans(tmp_path / "images", tmp_path / "labels", tmp_path / "subjects.csv")


def test_a_table_of_subjects_that_is_not_there_is_told_by_its_name(shelf, tmp_path, capsys):
    boxes(tmp_path, ["sub-a_hemi-L.nii", "sub-b_hemi-L.nii"])
    folders = ["--images", tmp_path / "images", "--labels", tmp_path / "labels"]
    words = ["adapt", *folders, "--organ", "amygdala", "--subjects", tmp_path / "none.csv"]
    assert main([*map(str, words), "--runs", str(tmp_path / "runs")]) == REFUSED
    told = "voxcite: none.csv: expected a file or a folder, found none; give"
    assert capsys.readouterr().err.startswith(told)
    assert not (shelf / "amygdala").exists()


def test_a_part_that_is_called_as_its_whole_is_refused(tmp_path):
    boxes(tmp_path, ["sub-a_hemi-L.nii.gz"])
    boxes(tmp_path, ["sub-b_hemi-L.nii.gz"], value=4)
    with pytest.raises(ValueError, match="parts with names of their own, found one called amygd"):
        prepared(request(tmp_path, names={3: "amygdala", 4: "rest"}), tmp_path / "work")


def test_labels_with_holes_in_their_numbering_are_numbered_anew(tmp_path):
    boxes(tmp_path, ["sub-a_hemi-L.nii.gz", "sub-b_hemi-L.nii.gz"], value=53)
    boxes(tmp_path, ["sub-c_hemi-L.nii.gz"], value=17, seed=1)
    asked = request(tmp_path, names={53: "front", 17: "back"})
    found, _ = prepared(asked, tmp_path / "work")
    assert found.structures == ("back", "front")
    assert found.plan.structures == ("background", "back", "front")


@pytest.mark.parametrize(
    ("held", "names", "told"),
    [
        ((1, 2), {}, "found 1, 2 without a name; name"),
        ((1, 2), {1: "front"}, "found 2 without a name; name"),
        ((1,), {1: "front", 5: "rear"}, "found 5=rear that no label holds; name"),
        ((1, 2), {1: "front", 5: "rear"}, "found 2 without a name and 5=rear that no label holds;"),
    ],
)
def test_a_value_without_a_name_and_a_name_without_a_value_are_told_apart(held, names, told):
    with pytest.raises(ValueError, match=f"name for each value of the labels and no other, {told}"):
        meanings(held, names, "amygdala")


def test_the_help_says_when_labels_need_no_names(capsys):
    with pytest.raises(SystemExit):
        main(["adapt", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "default: the organ, where the labels hold one value" in told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"names": {1: "front"}}, "expected a name for each value of the labels"),
        ({"names": {3: "front"}, "centre_mm": None}, "expected whole heads, which show where"),
        ({"plan": replace(TOY, folds=4)}, "expected at least 4 subjects, one for each fold"),
    ],
    ids=["no name", "no place", "few subjects"],
)
def test_what_cannot_be_learnt_from_is_refused_in_one_sentence(changes, told, tmp_path):
    boxes(tmp_path, [f"sub-{s}_hemi-L.nii.gz" for s in "ab"])
    with pytest.raises(ValueError, match=told):
        prepared(request(tmp_path, **changes), tmp_path / "work")


def test_a_scan_without_labels_is_refused(tmp_path):
    boxes(tmp_path, [f"sub-{s}_hemi-L.nii.gz" for s in "ab"])
    (tmp_path / "labels" / "sub-b_hemi-L.nii.gz").unlink()
    with pytest.raises(ValueError, match=r"found sub-b_hemi-L\.nii\.gz in one alone"):
        prepared(request(tmp_path), tmp_path / "work")


def test_labels_on_other_voxels_are_refused_without_an_option_that_is_not_there(tmp_path):
    boxes(tmp_path, [f"sub-{s}_hemi-L.nii.gz" for s in "ab"])
    path = tmp_path / "labels" / "sub-b_hemi-L.nii.gz"
    shifted = nibabel.load(path)
    shifted.affine[0, 3] += 0.4
    nibabel.Nifti1Image(np.asarray(shifted.dataobj), shifted.affine).to_filename(path)
    with pytest.raises(ScanError, match=r"0\.4 mm away; give the segmentation of this scan$"):
        prepared(request(tmp_path), tmp_path / "work")


def test_a_box_that_states_no_side_is_refused(tmp_path):
    boxes(tmp_path, [f"sub-{s}.nii.gz" for s in "ab"])
    with pytest.raises(ValueError, match="put hemi-L or hemi-R in its name"):
        prepared(request(tmp_path), tmp_path / "work")


def test_names_that_state_a_side_of_an_organ_without_any_are_refused(tmp_path):
    boxes(tmp_path, ["sub-a_hemi-L.nii.gz", "sub-b.nii.gz"])
    with pytest.raises(ScanError, match=r"^sub-a_hemi-L\.nii\.gz: expected no side in the name of"):
        prepared(request(tmp_path, sides=("none",)), tmp_path / "work")


def test_runs_of_other_scans_are_not_gone_on_with(shelf, tmp_path):
    names = [f"sub-{s}_hemi-L.nii.gz" for s in "abcd"]
    interrupted = adapted(request(boxes(tmp_path, names)), tmp_path / "work", {})
    while next(interrupted).step != "learning":
        pass
    interrupted.close()
    assert not (shelf / "amygdala").exists()
    boxes(tmp_path, ["sub-e_hemi-L.nii.gz"], seed=1)
    with pytest.raises(ValueError, match=r"work: expected runs of the same scans.*, found others"):
        list(adapted(request(tmp_path), tmp_path / "work", {}))
    for kind in ("images", "labels"):
        (tmp_path / kind / "sub-e_hemi-L.nii.gz").unlink()
    again = adapted(request(tmp_path), tmp_path / "work", {})
    while next(again).step != "learning":
        pass
    again.close()
    slower = request(tmp_path, plan=replace(TOY, learning_rate=1e-4, schedule="gentle"))
    with pytest.raises(ValueError, match="expected runs of the same start, learning_rate, found"):
        list(adapted(slower, tmp_path / "work", {}))


def head(side_voxels):
    """A head of noise in the template's place, with a cube that is labelled around its middle."""
    grid = Geometry((120, 120, 120), np.eye(4))
    labels = np.zeros(grid.shape, np.uint16)
    low, high = 60 - side_voxels // 2, 60 + side_voxels // 2
    labels[low:high, low:high, low:high] = 1
    noise = np.random.default_rng(0).normal(500, 40, grid.shape).astype(np.float32)
    return Labelled(Scan(Path("a.nii"), Path("a.nii"), "a"), Volume(noise, grid, "a"), labels)


def test_a_structure_is_cut_out_whole_or_refused():
    registration = Registration(np.eye(4), 1.0, 1.0)
    centres = {"none": (60.0, 60.0, 60.0)}
    (crop,) = crops_of_head(head(20), registration, centres, {1: 1})
    assert crop.labels.sum() == pytest.approx(20**3, rel=0.2)
    with pytest.raises(ScanError, match="expected a structure that a box of 40 x 56 x 40 mm holds"):
        list(crops_of_head(head(48), registration, centres, {1: 1}))


def test_a_head_that_does_not_fit_the_template_is_refused(tmp_path):
    labelled = head(20)
    found = {"affine": np.eye(4).tolist(), "similarity": 0.1, "inside": 1.0}
    (tmp_path / f"{labelled.picture}.json").write_text(json.dumps(found))
    with pytest.raises(ScanError, match=r"^a\.nii: expected a head that fits the template, found"):
        registered(labelled, tmp_path)


def test_a_card_says_what_was_held_and_for_how_long():
    weights = files("segment.models.unet").joinpath("weights.safetensors")
    plan = replace(TOY, steps=20).training("unet", "x_{}", ("x",), 4)
    told = begun_with(plan, Start(Path(str(weights)), "head-first"))
    assert "tensors were read; these were held for the first 2 of 10 epochs; new: output_b" in told


@pytest.mark.slow
def test_a_head_shows_where_the_structure_lies(tmp_path):
    sample = template_heads(tmp_path, ["sub-a.nii.gz", "sub-b.nii.gz"])
    found, _ = prepared(request(tmp_path, centre_mm=None), tmp_path / "work")
    assert found.centres_mm["left"] == pytest.approx(sample, abs=2)
    assert found.centres_mm["right"] == pytest.approx((-sample[0], *sample[1:]), abs=2)
    assert found.split["train"] == [1, 2, 3, 4]
    assert found.volumes_ml["amygdala"] == pytest.approx([1.0] * 4, rel=0.1)


def template_heads(folder, names):
    """Write heads that differ by noise, with a cube of 1 mL labelled on each side."""
    from assistant.study import read_sample

    volume = read_sample().volume
    place = (-25.0, -5.0, -20.0)
    rng = np.random.default_rng(0)
    for name in names:
        label = np.zeros(volume.geometry.shape, np.uint8)
        for x in (place[0], -place[0]):
            i, j, k = np.rint(volume.geometry.to_indices(np.array([[x, *place[1:]]])))[0].astype(
                int
            )
            label[i - 5 : i + 5, j - 5 : j + 5, k - 5 : k + 5] = 1
        noise = rng.normal(0, 0.01, label.shape) * volume.array.max()
        write(
            folder, name, (volume.array + noise).astype(np.float32), label, volume.geometry.affine
        )
    return place


def test_the_nearest_trained_network_is_the_one_that_is_there():
    assert nearest((-23.0, -5.0, -19.0)) == "unet"


@pytest.mark.parametrize("language", prompts.languages())
def test_every_language_has_the_patterns_of_english_with_the_name_in_each(language):
    assert patterns.load(language).keys() == patterns.load("en").keys()
    for text in patterns.load(language).values():
        assert [name for _, name, _, _ in string.Formatter().parse(text) if name] == ["name"]
