"""Whatever sits in organs/ keeps its contract; adding an organ adds no test."""

import re
import tomllib
from importlib.resources import files

import pytest

from segment import organs

every_organ = pytest.mark.parametrize("name", organs.available())


def verhoeff_remainder(code):
    """Check a SNOMED CT identifier after Verhoeff 1969: 0 when its check digit is right."""
    permutation = [list(range(10)), [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]]
    while len(permutation) < 8:
        permutation.append([permutation[1][digit] for digit in permutation[-1]])
    remainder = 0
    for place, digit in enumerate(reversed(code)):
        remainder = dihedral(remainder, permutation[place % 8][int(digit)])
    return remainder


def dihedral(a, b):
    """Multiply in the dihedral group of order ten."""
    rotation = (a + b) % 5 if a < 5 else (a - b) % 5
    return rotation + 5 * ((a >= 5) != (b >= 5))


def references(organ):
    pairs = [(s.volume_reference, s.asymmetry_reference) for s in organ.structures]
    return [reference for pair in pairs for reference in pair if reference is not None]


def test_there_is_an_organ():
    assert organs.available()


def test_the_check_digit_rejects_a_wrong_code():
    assert verhoeff_remainder("5366008") == 0
    assert verhoeff_remainder("5366009") != 0


@every_organ
def test_the_folder_is_named_after_the_organ(name):
    assert organs.load(name).name.replace(" ", "_") == name


@every_organ
def test_codes_are_snomed_ct_identifiers(name):
    organ = organs.load(name)
    modifiers = [s.modifier for s in organ.structures if s.modifier is not None]
    for code in (organ.code, *modifiers):
        assert re.fullmatch(r"\d{6,18}", code)
        assert verhoeff_remainder(code) == 0


@every_organ
def test_each_side_has_a_place_to_look_or_none_has(name):
    organ = organs.load(name)
    assert set(organ.centre_mni_mm) in (set(organ.sides), set())
    assert set(organ.sides) in ({"left", "right"}, {"none"})


@every_organ
def test_a_left_organ_lies_left_of_a_right_one(name):
    centres = organs.load(name).centre_mni_mm
    assert centres.get("left", (-1,))[0] < 0 < centres.get("right", (1,))[0]


@every_organ
def test_structures_are_unique_and_made_of_labels(name):
    organ = organs.load(name)
    names = [s.name for s in organ.structures]
    assert len(set(names)) == len(names)
    assert all(s.labels for s in organ.structures)
    assert all(organ.structure(s.name) == s for s in organ.structures)


@every_organ
def test_plausible_volumes_are_positive_and_ordered(name):
    for structure in organs.load(name).structures:
        least, most = structure.plausible_ml or (1, 2)
        assert 0 < least < most


@every_organ
def test_the_reference_lies_inside_what_is_plausible(name):
    for structure in organs.load(name).structures:
        if structure.volume_reference is not None:
            least, most = structure.plausible_ml or (0, 1e6)
            assert (
                least < structure.volume_reference.lower < structure.volume_reference.upper < most
            )


@every_organ
def test_percentiles_rise_from_the_lower_end_of_the_reference_to_the_upper(name):
    for structure in organs.load(name).structures:
        if found := structure.volume_percentiles_ml:
            reference = structure.volume_reference
            assert (found[0], found[-1]) == (reference.lower, reference.upper)
            assert list(found) == sorted(set(found))


@every_organ
def test_a_reference_says_whom_it_describes(name):
    for reference in references(organs.load(name)):
        assert reference.source
        assert reference.scope
        assert reference.n > 0
        assert reference.lower < reference.upper
        assert 0 < reference.coverage < 1


@every_organ
def test_a_reference_is_of_a_structure_that_exists(name):
    text = files(organs).joinpath(name, "organ.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    named = {
        key
        for q in ("volume_ml", "asymmetry_percent")
        for key in table.get("reference", {}).get(q, {})
    }
    assert named <= {s.name for s in organs.load(name).structures}


def test_an_unknown_organ_is_refused_by_name():
    with pytest.raises(ValueError, match="unknown organ 'spline'"):
        organs.load("spline")


def test_an_unknown_structure_is_a_key_error():
    with pytest.raises(KeyError, match="nowhere"):
        organs.load(organs.available()[0]).structure("nowhere")
