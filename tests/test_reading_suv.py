"""PET becomes uptake values by the formula, or is refused with the tag that is missing."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from segment.errors import Refusal, ScanError
from segment.reading import find_series, list_files, read_series
from segment.reading.header import read_headers
from segment.reading.suv import suv_factor
from tests.balls import ball_series

DOSE_BQ, HALF_LIFE_S, WEIGHT_KG = 350e6, 6586.2, 80.0
INJECTION = "RadiopharmaceuticalInformationSequence"


def pet(folder, **changes):
    """Write a PET of a ball of 1000 Bq/ml, scanned one hour after the injection."""
    injection = Dataset()
    injection.RadionuclideTotalDose = DOSE_BQ
    injection.RadionuclideHalfLife = HALF_LIFE_S
    injection.RadiopharmaceuticalStartTime = "090000"
    tags = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.128",
        "Modality": "PT",
        "Units": "BQML",
        "DecayCorrection": "START",
        "CorrectedImage": ["ATTN", "DECY", "SCAT"],
        "PatientWeight": WEIGHT_KG,
        "SeriesDate": "20240229",
        "SeriesTime": "100000",
        "AcquisitionDate": "20240229",
        "AcquisitionTime": "100000.25",
    }
    for tag in [tag for tag in changes if tag.startswith("Radi")]:
        value = changes.pop(tag)
        setattr(injection, tag, value)
        if value is None:
            delattr(injection, tag)
    return ball_series(
        folder / "pet", np.arange(-36, 37, 12.0), **{**tags, **changes, INJECTION: [injection]}
    )


def factor(folder):
    return suv_factor(list(read_headers(list_files(folder))), "pet")


def expected(elapsed_s):
    return WEIGHT_KG * 1000 / (DOSE_BQ * 2 ** (-elapsed_s / HALF_LIFE_S))


def test_values_become_uptake_by_body_weight(tmp_path):
    (series,) = find_series(list_files(pet(tmp_path)))
    volume = read_series(series)
    assert volume.array.max() == pytest.approx(1000 * expected(3600), rel=1e-5)
    assert (volume.modality, volume.date, volume.time) == ("PT", "2024-02-29", "10:00:00")
    assert volume.facts["values"] == "standardised uptake by body weight, g/ml"


@pytest.mark.parametrize(
    ("changes", "elapsed_s"),
    [
        ({"DecayCorrection": "ADMIN"}, 0),
        ({"RadiopharmaceuticalStartTime": "083000.00"}, 5400),
        ({"RadiopharmaceuticalStartDateTime": "20240229093000"}, 1800),
        ({"RadiopharmaceuticalStartTime": "233000", "SeriesTime": "003000",
          "AcquisitionTime": "003000"}, 3600),
        ({"SeriesTime": "113000"}, 3600),  # made later: the first acquisition counts
    ],
)  # fmt: skip
def test_the_dose_is_decayed_to_the_start_of_the_scan(changes, elapsed_s, tmp_path):
    assert factor(pet(tmp_path, **changes)) == pytest.approx(expected(elapsed_s), rel=1e-3)


def test_values_that_are_uptake_already_are_left_alone(tmp_path):
    assert factor(pet(tmp_path, Units="GML")) == 1.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Units": "CNTS"}, "Units BQML"),
        ({"Units": "GML", "SUVType": "LBM"}, "Units BQML"),
        ({"Units": ""}, "found none"),
        ({"PatientWeight": None}, "PatientWeight in kg"),
        ({"PatientWeight": 80000}, "found 80000"),
        ({"RadionuclideTotalDose": None}, "RadionuclideTotalDose in Bq"),
        ({"RadionuclideTotalDose": 350}, "found 350"),
        ({"RadionuclideHalfLife": None}, "RadionuclideHalfLife in s"),
        ({"RadiopharmaceuticalStartTime": None}, "time of the injection"),
        ({"RadiopharmaceuticalStartDateTime": "20240227090000"}, "ten half-lives"),
        ({"RadiopharmaceuticalStartDateTime": "20240229110000"}, "ten half-lives"),
        ({"DecayCorrection": "NONE"}, "found NONE"),
        ({"DecayCorrection": ""}, "DecayCorrection START or ADMIN"),
        ({"CorrectedImage": ["DECY"]}, "ATTN among CorrectedImage"),
        ({"SeriesTime": ""}, "SeriesTime"),
        ({"AcquisitionTime": ""}, "AcquisitionTime"),
    ],
)
def test_a_pet_whose_uptake_is_not_certain_is_refused(changes, words, tmp_path):
    with pytest.raises(ScanError, match=words) as refusal:
        factor(pet(tmp_path, **changes))
    assert refusal.value.code is Refusal.NO_SUV


def test_slices_that_disagree_about_the_dose_are_refused(tmp_path):
    folder = pet(tmp_path)
    path = next(folder.iterdir())
    data = pydicom.dcmread(path)
    data[INJECTION].value[0].RadionuclideTotalDose = 2 * DOSE_BQ
    data.save_as(path)
    with pytest.raises(ScanError, match="one RadionuclideTotalDose in all slices"):
        factor(folder)
