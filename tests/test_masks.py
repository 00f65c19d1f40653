"""A segmentation that somebody else made is measured as it is, and never taken for more."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest

import prompts
from assistant import Assistant, Settings, exports, read_study
from assistant.cli import main
from assistant.edit import Manuscript, Overridden
from assistant.report import Report
from assistant.verify import verify_report
from segment import organs
from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.masks import read_marked, read_mask
from segment.masks.place import edge_labels, placed
from segment.masks.table import built_in, read_table
from segment.measurement import Reason, Reliability
from tests.shared_data import REPOSITORY, shared_data
from tests.supplied import (
    AFFINE,
    LIVER,
    SHAPE,
    SPLEEN,
    TISSUE_HU,
    VOXEL_MM3,
    ct,
    labels,
    write,
    write_pair,
)
from tests.test_readme import shown

GRID = Geometry(SHAPE, AFFINE)
HEADER = "value,name,structure,side\n"


def drafted(scan, mask, language="en", **options):
    """Report on a scan and its labels."""
    study = read_study(scan)
    study = replace(study, mask=read_mask(mask, study.volume.geometry, **options))
    return Assistant.from_settings(Settings(exam="ct-organs", language=language))(study)


def record(report, structure, side="none", quantity="volume"):
    """Return one record of a report."""
    key = (structure, side, quantity)
    return next(m for m in report.measurements if (m.structure, m.side, m.quantity) == key)


def refused(path, **options):
    """Return the refusal of a file of labels."""
    with pytest.raises(ScanError) as caught:
        read_mask(path, GRID, **options)
    assert str(path.parent) not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_report_of_a_supplied_segmentation_holds(tmp_path, language):
    report = drafted(*write_pair(tmp_path), language)
    assert verify_report(report.to_json()) == ()
    assert report.problems == ()


def test_a_volume_is_the_count_and_has_no_interval(tmp_path):
    spleen = record(drafted(*write_pair(tmp_path)), "spleen")
    assert spleen.value == pytest.approx(64 * VOXEL_MM3 / 1000)
    assert (spleen.reliability, spleen.interval) == (Reliability.WITHOUT_INTERVAL, None)
    assert spleen.voxels == 64


def test_a_mean_is_that_of_the_scans_own_voxels(tmp_path):
    scan = ct()
    scan[4, 4, 4] += 64
    report = drafted(*write_pair(tmp_path, scan=scan))
    mean = record(report, "spleen", quantity="mean attenuation")
    assert mean.value == pytest.approx(TISSUE_HU + 1)


def test_a_lung_is_the_union_of_its_lobes(tmp_path):
    assert record(drafted(*write_pair(tmp_path)), "lung", "left").voxels == 64


@pytest.mark.parametrize("quantity", ["volume", "mean attenuation"])
def test_what_reaches_the_edge_of_the_field_is_truncated(tmp_path, quantity):
    liver = record(drafted(*write_pair(tmp_path)), "liver", quantity=quantity)
    assert (liver.reliability, liver.reason) == (Reliability.NOT_RELIABLE, Reason.TRUNCATED)


def test_what_reaches_the_edge_of_a_smaller_drawn_field_is_truncated(tmp_path):
    moved = AFFINE.copy()
    moved[:3, 3] = AFFINE[:3, :3] @ [4, 0, 0]
    report = drafted(*write_pair(tmp_path, labels()[4:], affine=moved))
    assert record(report, "spleen").reason is Reason.TRUNCATED


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("place", [0, -1])
def test_each_face_of_a_field_is_an_edge(axis, place):
    array = np.zeros((4, 5, 6), np.uint16)
    array[tuple(place if a == axis else 2 for a in range(3))] = 7
    assert edge_labels(array) == {7}


def test_an_empty_mask_is_a_volume_of_nothing_and_says_why(tmp_path):
    report = drafted(*write_pair(tmp_path, np.zeros(SHAPE, np.uint8)))
    spleen = record(report, "spleen")
    assert (spleen.value, spleen.voxels) == (0.0, 0)
    assert (spleen.reliability, spleen.reason) == (Reliability.NOT_RELIABLE, Reason.NO_VOXELS)
    assert record(report, "spleen", quantity="mean attenuation").value is None
    assert verify_report(report.to_json()) == ()


def impression(report):
    return [line.text for line in report.lines if line.section == "impression"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_impression_of_nothing_measured_is_one_sentence_that_must_hold(tmp_path, language):
    empty = drafted(*write_pair(tmp_path, np.zeros(SHAPE, np.uint8)), language=language)
    (said,) = impression(empty)
    assert said == prompts.load(language).phrases["impression.nothing_measured"]
    assert verify_report(empty.to_json()) == ()
    (tmp_path / "full").mkdir()
    full = drafted(*write_pair(tmp_path / "full"), language=language).to_json()
    line = next(line for line in full["lines"] if line["section"] == "impression")
    line.update(text=said, cites=[])
    assert any("does not hold of these records" in problem for problem in verify_report(full))


def test_a_volume_entered_by_a_person_takes_the_place_of_nothing_measured(tmp_path):
    empty = drafted(*write_pair(tmp_path, np.zeros(SHAPE, np.uint8)))
    change = Overridden("m2", 180.0, 160.0, 200.0, "Dr Test", "2021-03-04T05:06:07+00:00")
    changed = Manuscript(empty).with_change(change).report
    (said,) = impression(changed)
    assert said.startswith("Volume of the spleen: approximately 180 mL (entered by hand")
    assert verify_report(changed.to_json()) == ()


def test_a_structure_without_a_label_was_not_assessed(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text(HEADER + "1,milz,spleen,none\n")
    drawn = np.where(labels() == SPLEEN, SPLEEN, 0).astype(np.uint8)
    report = drafted(*write_pair(tmp_path, drawn), labels=table)
    liver = record(report, "liver")
    assert (liver.reliability, liver.reason) == (Reliability.NOT_ASSESSED, Reason.NOT_LABELLED)
    assert record(report, "spleen").voxels == 64
    assert verify_report(report.to_json()) == ()


def test_grey_values_that_may_be_no_hounsfield_units_are_not_averaged(tmp_path):
    report = drafted(*write_pair(tmp_path, scan=ct() + 1000))
    mean = record(report, "spleen", quantity="mean attenuation")
    assert (mean.value, mean.reason) == (None, Reason.NOT_HOUNSFIELD)
    assert record(report, "spleen").voxels == 64
    assert "Computed tomography." not in report.markdown()
    assert verify_report(report.to_json()) == ()


def test_a_scan_that_says_it_is_no_ct_is_refused(tmp_path):
    scan, mask = write_pair(tmp_path)
    study = read_study(scan)
    study = replace(study, volume=replace(study.volume, modality="MR"), mask=read_mask(mask, GRID))
    with pytest.raises(ScanError, match="expected CT, found MR") as caught:
        Assistant.from_settings(Settings(exam="ct-organs"))(study)
    assert caught.value.code is Refusal.NOT_CT


def test_an_exam_that_draws_nothing_needs_a_segmentation(tmp_path):
    with pytest.raises(ScanError, match="give its file with --segmentation") as caught:
        Assistant.from_settings(Settings(exam="ct-organs"))(read_study(write_pair(tmp_path)[0]))
    assert caught.value.code is Refusal.NO_SEGMENTATION


def test_an_exam_that_draws_by_itself_takes_no_segmentation(tmp_path):
    scan, mask = write_pair(tmp_path)
    study = replace(read_study(scan), mask=read_mask(mask, GRID))
    with pytest.raises(ScanError, match="expected no segmentation"):
        Assistant.from_settings(Settings(exam="hippocampus"))(study)


def test_a_writer_that_was_trained_on_other_reports_is_refused():
    with pytest.raises(ValueError, match="expected the template writer, found vlm"):
        Assistant.from_settings(Settings(exam="ct-organs", writer="vlm"))


def test_no_answer_is_worded_for_such_a_report(tmp_path):
    report = drafted(*write_pair(tmp_path))
    with pytest.raises(ScanError, match="read the report itself"):
        Assistant.from_settings(Settings(exam="ct-organs")).ask(report, "How large is the liver?")


def test_labels_on_another_grid_are_refused(tmp_path):
    moved = AFFINE.copy()
    moved[0, 3] = 1.0
    error = refused(write(tmp_path / "mask.nii.gz", labels(), moved))
    assert error.code is Refusal.WRONG_GRID
    assert "--resample" in str(error)


TURN, SHIFT = np.eye(4), np.eye(4)
TURN[:2, :2] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
SHIFT[:3, 3] = (0.3, 0, 0.4)
OTHER_GRIDS = {
    "shifted": (SHIFT, "found as many of this size, 1.34 mm away;"),
    "turned": (TURN, "found as many of this size whose axes are turned by up to 5.73 degrees;"),
    "mirrored": (np.diag([-1, 1, 1, 1]), "are turned by up to 180 degrees"),
    "finer": (np.diag([0.5, 1, 1, 1]), "found others, "),
}


@pytest.mark.parametrize(("change", "told"), OTHER_GRIDS.values(), ids=OTHER_GRIDS)
def test_a_refusal_says_in_what_the_grid_of_labels_differs(tmp_path, change, told):
    error = refused(write(tmp_path / "mask.nii.gz", labels(), AFFINE @ change))
    assert told in str(error)


def test_labels_on_another_grid_take_the_nearest_one_when_asked(tmp_path):
    fine = np.repeat(labels(), 2, axis=0)
    affine = AFFINE @ np.diag([0.5, 1, 1, 1])
    affine[0, 3] = -0.5
    mask = read_mask(write(tmp_path / "m.nii.gz", fine, affine), GRID, resample=True)
    assert mask.is_resampled
    assert np.array_equal(mask.labels, labels())


def test_the_same_voxels_in_another_order_are_not_resampled(tmp_path):
    image = nibabel.Nifti1Image(labels(), AFFINE)
    turned = image.as_reoriented(np.array([[1, -1], [0, 1], [2, -1]]))
    path = write(tmp_path / "m.nii.gz", np.asarray(turned.dataobj), turned.affine)
    mask = read_mask(path, GRID)
    assert not mask.is_resampled
    assert np.array_equal(mask.labels, labels())


def test_a_part_of_the_field_is_laid_where_it_was_cut_out():
    cut = labels()[2:12, 3:17, 1:12].astype(np.uint16)
    found, is_resampled = placed(cut, GRID.block((2, 3, 1), cut.shape), GRID, "m", resample=False)
    assert not is_resampled
    assert np.array_equal(found[2:12, 3:17, 1:12], cut)
    assert found.sum() == cut.sum()


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (labels() * 0.5, "expected whole numbers as labels, found 0.5"),
        (np.where(labels() > 0, np.nan, 0), "expected whole numbers as labels, found nan"),
        (ct(), "expected labels from 0 to 65535, found -1000"),
        (labels().astype(np.int32) * 70000, "expected labels from 0 to 65535"),
        (labels() + 200, "that the table totalsegmentator names, found 200, 201"),
    ],
)
def test_what_holds_no_known_labels_is_refused(tmp_path, array, match):
    error = refused(write(tmp_path / "mask.nii.gz", array.astype(np.float32)))
    assert error.code is Refusal.WRONG_LABELS
    assert match in str(error)


def picture(values):
    """Return whole numbers from 0 up, as many as a picture holds."""
    return (np.arange(np.prod(SHAPE)) % values).reshape(SHAPE).astype(np.uint16)


def test_a_picture_is_no_segmentation_whatever_its_values_would_name(tmp_path):
    error = refused(write(tmp_path / "mask.nii.gz", picture(557)))
    assert error.code is Refusal.WRONG_LABELS
    assert "expected at most 220 labels, found 556 values, as in a picture" in str(error)


def test_a_picture_marks_nothing(tmp_path):
    path = write(tmp_path / "mask.nii.gz", picture(256))
    with pytest.raises(ScanError, match="expected at most 220 labels, found 255") as caught:
        read_marked(path, GRID)
    assert caught.value.code is Refusal.WRONG_LABELS


def test_as_many_labels_as_a_parcellation_has_are_read(tmp_path):
    mask = read_marked(write(tmp_path / "mask.nii.gz", picture(201)), GRID)
    assert (mask.labels == 1).sum() == (picture(201) > 0).sum()


def test_a_table_may_name_more_labels_than_that(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text(HEADER + "".join(f"{n},part {n},,\n" for n in range(1, 401)))
    mask = read_mask(write(tmp_path / "mask.nii.gz", picture(401)), GRID, labels=table)
    assert mask.held == frozenset(range(1, 401))


def test_a_scan_is_not_its_own_segmentation(tmp_path):
    scan = write(tmp_path / "scan.nii.gz", labels())
    study, mask = read_study(scan), read_mask(scan, GRID)
    with pytest.raises(ScanError, match="found the scan itself") as caught:
        replace(study, mask=mask)
    assert caught.value.code is Refusal.WRONG_LABELS


def test_the_names_in_a_file_count_for_more_than_their_numbers(tmp_path):
    path = write(tmp_path / "m.nii.gz", labels(), names={1: "liver", 5: "spleen", 10: "x", 11: "y"})
    mask = read_mask(path, GRID)
    liver = organs.load("liver").structure("liver")
    assert mask.table.values(liver, "none") == (1,)
    assert mask.table.left_out([1, 5, 10, 11]) == ("x", "y")


def test_a_label_that_the_file_does_not_name_is_refused(tmp_path):
    error = refused(write(tmp_path / "m.nii.gz", labels(), names={1: "liver"}))
    assert "the table of the file itself names, found 5, 10, 11" in str(error)


def test_a_users_table_counts_for_more_than_the_names_in_the_file(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("# ours\n" + HEADER + "1,a,aorta,none\n5,b,,\n10,c,kidney,left\n11,d,,\n")
    path = write(tmp_path / "m.nii.gz", labels(), names={1: "liver"})
    mask = read_mask(path, GRID, labels=table)
    assert mask.table.values(organs.load("aorta").structure("aorta"), "none") == (1,)
    assert mask.table.values(organs.load("kidney").structure("kidney"), "right") == ()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("value,name\n1,liver\n", "expected the columns value,name,structure,side"),
        ("", "expected the columns"),
        (HEADER + "1,liver\n", "expected a value, a name, a structure and a side"),
        (HEADER + "0,x,liver,none\n", "expected values from 1 to 65535, found '0'"),
        (HEADER + "1.5,x,liver,none\n", "expected values from 1 to 65535"),
        (HEADER + "1,x,livre,none\n", "expected one of the structures"),
        (HEADER + "1,x,liver,left\n", "expected none for the side of liver, found 'left'"),
        (HEADER + "1,x,kidney,none\n", "expected left or right for the side of kidney"),
        (HEADER + "1,x,,\n1,y,,\n", "expected each value once, found 1 twice"),
    ],
)
def test_a_table_that_says_something_else_is_refused(tmp_path, text, match):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(ScanError, match="correct the table of labels") as caught:
        read_table(path)
    assert match in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"#" * (2**20 + 1)])
def test_a_file_that_is_no_table_is_refused(tmp_path, content):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(ScanError, match="expected a table of labels"):
        read_table(path)


def test_the_built_in_table_names_each_number_once_and_known_structures():
    table = built_in()
    values = [label.value for label in table.labels]
    assert values == list(range(1, 118))
    known = {s.name: o.sides for o in map(organs.load, organs.available()) for s in o.structures}
    reported = [label for label in table.labels if label.structure is not None]
    assert all(label.side in known[label.structure] for label in reported)
    assert {label.structure for label in reported} == known.keys() - {
        "brain",
        "hippocampus",
        "hippocampus anterior",
        "hippocampus posterior",
    }


def test_options_of_a_segmentation_need_one(tmp_path, capsys):
    scan, _ = write_pair(tmp_path)
    chosen = ["draft", str(scan), "--exam", "ct-organs", "-o", str(tmp_path / "out")]
    assert main([*chosen, "--resample"]) == 2
    assert "give its file as well" in capsys.readouterr().err


def test_a_prior_study_is_refused_where_none_is_compared(tmp_path, capsys):
    scan, mask = write_pair(tmp_path)
    chosen = ["draft", str(scan), "--exam", "ct-organs", "--segmentation", str(mask)]
    assert main([*chosen, "--prior", str(scan), "-o", str(tmp_path / "out")]) == 2
    assert "leave --prior out" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_command_writes_report_labels_and_a_picture_of_each_structure(tmp_path, capsys):
    scan, mask = write_pair(tmp_path)
    out = tmp_path / "out"
    options = ["--exam", "ct-organs", "--segmentation", str(mask), "-o", str(out)]
    assert main(["draft", str(scan), *options]) == 0
    assert "## Findings" in capsys.readouterr().out
    pictures = {"liver", "spleen", "lung_left"}
    assert {p.stem for p in out.glob("*.png")} == {f"overlay_{name}" for name in pictures}
    assert not (out / "entropy.nii.gz").exists()
    numbers = json.loads((out / "report.json").read_text())["provenance"]["labels_written"]
    written = np.asarray(nibabel.load(out / "segmentation.nii.gz").dataobj)
    assert np.array_equal(written == numbers["spleen none"], labels() == SPLEEN)
    assert np.array_equal(written == numbers["liver none"], labels() == LIVER)


@pytest.mark.parametrize("name", ["fhir", "docx", "markdown", "json"])
def test_such_a_report_is_exported(tmp_path, name):
    report = drafted(*write_pair(tmp_path))
    written = exports.load(name)(report, [], "2026-01-01T00:00:00+00:00")
    assert isinstance(report, Report)
    assert written


def test_a_real_segmentation_is_counted_as_numpy_counts_it():
    scan = shared_data("ct_body", "ct.nii.gz")
    mask = shared_data("ct_body", "totalsegmentator_labels.nii.gz")
    report = drafted(scan, mask)
    drawn = np.asarray(nibabel.load(mask).dataobj)
    grey = np.asarray(nibabel.load(scan).dataobj)
    kidney = record(report, "kidney", "left")
    mean = record(report, "kidney", "left", "mean attenuation")
    assert kidney.value == pytest.approx((drawn == 3).sum() * 27 / 1000)
    assert mean.value == pytest.approx(grey[drawn == 3].mean(), abs=1e-3)
    cut = {(m.structure, m.side) for m in report.measurements if m.reason is Reason.TRUNCATED}
    assert ("liver", "none") in cut
    assert ("kidney", "left") not in cut
    assert verify_report(report.to_json()) == ()


def test_the_page_shows_what_comes_out():
    scan = shared_data("ct_body", "ct.nii.gz")
    report = drafted(scan, shared_data("ct_body", "totalsegmentator_labels.nii.gz")).markdown()
    page = (REPOSITORY / "docs" / "own-segmentation.md").read_text(encoding="utf-8")
    assert shown(page)["organs"] == report[: report.index("## Measurements")].strip()
