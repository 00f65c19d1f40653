"""The command ``voxcite pet``: lesions in a PET by the classical thresholds. Decides nothing."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.terminal import (
    NOTHING_MEASURED,
    OK,
    SERIES_HELP,
    STUDY_HELP,
    bar_of,
    segmentation_of,
)

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands
    from assistant.pet import Placed
    from segment.objects import Point

METHODS = ("share", "fixed", "liver")


def add_pet(commands: "Commands") -> None:
    """Describe the command."""
    pet = commands.add_parser("pet", help="measure uptake, volume and glycolysis in a PET")
    pet.add_argument("scan", help=f"the PET: {STUDY_HELP}")
    pet.add_argument("--series", help=SERIES_HELP)
    pet.add_argument("--suv", action="store_true", help="a NIfTI file holds SUV by body weight")
    pet.add_argument("--ct", metavar="CT", help="measure on the voxels of this CT")
    pet.add_argument("--ct-series", metavar="N", help="the same as --series, of the CT")
    pet.add_argument(
        "--same-patient",
        action="store_true",
        help="PET and CT are of the same patient though their identifiers differ",
    )
    pet.add_argument("--segmentation", type=Path, metavar="FILE", help="organs on the same voxels")
    pet.add_argument("--labels", type=Path, metavar="FILE", help="what its labels mean (CSV)")
    pet.add_argument("--resample", action="store_true", help="take the nearest of its labels")
    pet.add_argument("--liver", type=Path, metavar="FILE", help="a mask of the liver alone")
    pet.add_argument(
        "--liver-centre",
        type=float,
        nargs=3,
        metavar=("RIGHT", "FRONT", "HEAD"),
        help="a place in the right lobe, in mm of the patient",
    )
    pet.add_argument(
        "--method",
        action="append",
        choices=METHODS,
        help="41 %% of SUVmax, a fixed SUV, the liver's threshold; default: all that there are",
    )
    pet.add_argument("--level", type=float, default=2.5, metavar="SUV", help="default: 2.5")
    pet.add_argument("--smallest-ml", type=float, default=0.2, metavar="ML", help="default: 0.2")
    pet.add_argument("--language", default="en", help="en or zh")
    pet.add_argument("-o", "--output", type=Path, metavar="MEASUREMENTS.json")
    pet.set_defaults(run=run_pet)


def run_pet(chosen: argparse.Namespace) -> int:
    """Measure a PET, print its tables and write its records."""
    import prompts
    from assistant.ledger import Ledger
    from assistant.output import write_measurements
    from assistant.pet import METHODS as ALL
    from assistant.pet import Wanted, measure_pet, pet_provenance
    from assistant.pet_tables import pet_text
    from assistant.written import written_whole

    book = prompts.load(chosen.language)
    if chosen.output:
        with written_whole(chosen.output.parent):
            pass
    wanted = Wanted(
        tuple(method for method in ALL if method in (chosen.method or ALL)),
        chosen.level,
        chosen.smallest_ml,
    )
    with bar_of(3, book.steps["read"]) as bar:
        placed = _placed(chosen)
        bar.update()
        mask = segmentation_of(chosen, placed.uptake.geometry)
        place = _liver(chosen)
        bar.update()
        bar.set_description(book.steps["measure"])
        findings = measure_pet(placed, wanted, mask=mask, liver_mm=place)
        _expect_liver(chosen, is_there=findings.reference is not None)
        text = pet_text(findings, chosen.language)
        if chosen.output:
            with written_whole(chosen.output.parent) as folder:
                provenance = pet_provenance(findings)
                ledger = Ledger(findings.records)
                write_measurements(folder / chosen.output.name, ledger, provenance)
        bar.update()
    print(f"{book.marks['draft']}{book.marks['colon']}{book.marks['disclaimer']}\n\n{text}")
    is_any = any(one.uptakes for one in findings.outlined)
    return OK if is_any else NOTHING_MEASURED


def _placed(chosen: argparse.Namespace) -> "Placed":
    """Read the PET, and the CT where one is given."""
    from assistant.pet import place_pet
    from assistant.study import read_study
    from segment.errors import Refusal, ScanError

    if chosen.ct is None and (chosen.ct_series is not None or chosen.same_patient):
        msg = "--ct-series and --same-patient are about --ct; give the CT as well"
        raise ScanError(Refusal.BAD_OPTION, msg)
    pet = read_study(chosen.scan, series=chosen.series, modality="PT")
    ct = None
    if chosen.ct is not None:
        ct = read_study(chosen.ct, series=chosen.ct_series, modality="CT")
    return place_pet(pet, ct, is_suv=chosen.suv, is_same_patient=chosen.same_patient)


def _liver(chosen: argparse.Namespace) -> "Point | None":
    """Return the place in the liver that was given, or that of the mask that was."""
    from assistant.pet import liver_place
    from segment.errors import Refusal, ScanError
    from segment.masks.file import read_labels
    from segment.masks.place import held_labels
    from segment.masks.table import check_count
    from segment.reading import file_name

    if chosen.liver is not None and chosen.liver_centre is not None:
        msg = "expected one place in the liver, found two; leave --liver or --liver-centre out"
        raise ScanError(Refusal.BAD_OPTION, msg)
    if chosen.liver is not None:
        drawn = read_labels(chosen.liver)
        name, advice = file_name(chosen.liver), "with one label for all of the liver"
        check_count(held_labels(drawn.labels), name, advice)
        return liver_place(drawn.labels, drawn.geometry)
    if chosen.liver_centre is None:
        return None
    x, y, z = chosen.liver_centre
    return x, y, z


def _expect_liver(chosen: argparse.Namespace, *, is_there: bool) -> None:
    """Refuse to leave out the liver's threshold where it was asked for by name."""
    from segment.errors import Refusal, ScanError

    if "liver" in (chosen.method or ()) and not is_there:
        msg = (
            "--method liver: expected a liver, found none; give --liver, --liver-centre or a"
            " --segmentation that holds one"
        )
        raise ScanError(Refusal.NO_LIVER, msg)
