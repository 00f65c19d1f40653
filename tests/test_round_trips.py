"""Segments and entropy of generated reports, read back, are those of report.json."""

import copy

import pytest

import prompts
from assistant import exports
from tests.exported import MADE, exporter
from tests.round_trips import (
    differences,
    expected_segments,
    generated,
    pm_mismatches,
    scan_of,
    seg_mismatches,
)
from tests.test_dicom_exports import EXAM, dcmqi

languages = pytest.mark.parametrize("language", prompts.languages())


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return scan_of(tmp_path_factory.mktemp("series"))


def round_trip(seeds, language, scan, folder):
    for seed in seeds:
        report, source = generated(seed, language, *scan, folder, EXAM)
        files = {n: exports.load(n, source)(report, [], MADE) for n in ("dicom_seg", "dicom_pm")}
        yield from seg_mismatches(files["dicom_seg"], report, folder, dcmqi)
        yield from pm_mismatches(files["dicom_pm"], source)


@pytest.mark.slow
@languages
def test_what_a_segmentation_and_a_map_say_is_what_the_report_says(language, scan, tmp_path):
    exporter("dicom_seg")
    assert list(round_trip(range(3), language, scan, tmp_path)) == []


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("label", "right hippocampus"),
        ("organ", "4958002"),
        ("modifiers", ["24028007"]),
        ("algorithm", ("SEMIAUTOMATIC", "unet-1")),
        ("voxels", 7),
        ("ml", 3.3),
    ],
)
def test_the_comparison_of_segments_sees_each_kind_of_difference(key, other, scan, tmp_path):
    report, _ = generated(0, "en", *scan, tmp_path, EXAM)
    expected = expected_segments(report)
    changed = copy.deepcopy(expected)
    changed["m1"][key] = other
    assert list(differences(expected, expected)) == []
    assert [told.partition(" ")[0] for told in differences(changed, expected)] == ["m1:"]
    assert list(differences({k: v for k, v in expected.items() if k != "m1"}, expected))


def test_the_comparison_of_entropy_sees_another_map(scan, tmp_path):
    exporter("dicom_pm")
    report, source = generated(0, "en", *scan, tmp_path, EXAM)
    data = exports.load("dicom_pm", source)(report, [], MADE)
    assert list(pm_mismatches(data, source)) == []
    generated(1, "en", *scan, tmp_path, EXAM)
    assert list(pm_mismatches(data, source))
