"""The command ``voxcite explain``: what each volume hangs on, as maps and pictures."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.terminal import (
    DISCLAIMER,
    NOTHING_MEASURED,
    OK,
    SERIES_HELP,
    STUDY_HELP,
    add_crop,
    add_segmenter,
    assistant_for,
    record_line,
    shown,
    side_of,
)
from assistant.settings import DEFAULT_EXAM
from segment.effort import EFFORT

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands
    from assistant.explaining import Explained
    from assistant.pipeline import Assistant
    from segment.measurement import Measurement
    from segment.models.ensemble import Ensemble


def add_explain(commands: "Commands") -> None:
    """Describe the command."""
    explain = commands.add_parser("explain", help="what a structure's volume hangs on")
    explain.add_argument("scan", help=STUDY_HELP)
    explain.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    explain.add_argument("--structure", metavar="NAME", help="default: the first of the exam's")
    explain.add_argument("--exam", default=DEFAULT_EXAM)
    explain.add_argument("--series", help=SERIES_HELP)
    add_crop(explain)
    add_segmenter(explain)
    explain.set_defaults(run=run_explain)


def run_explain(chosen: argparse.Namespace) -> int:
    """Explain one structure of each side, beside its record."""
    from assistant import gate
    from assistant.explained_views import explained_view
    from assistant.explaining import boxes_of, explain
    from assistant.maps import write_map
    from assistant.study import read_study
    from assistant.views import write_png
    from assistant.written import written_whole
    from segment.infer import Found
    from segment.register import register

    side = side_of(chosen)
    assistant = assistant_for(chosen)
    name, ensemble = _wanted(assistant, chosen.structure)
    study = read_study(chosen.scan, series=chosen.series)
    volume = study.volume
    if side is not None:
        segmented = assistant.crop(study, side)
    else:
        gate.check_head(volume)
        gate.check_role(study.role, assistant.exam)
        segmented = assistant.segment(volume, register(volume))
    found = [one for one in segmented.sides if isinstance(one, Found)]
    records = {r.side: r for r in assistant.measure(study, segmented).records if _is(r, name)}
    print("DRAFT. " + DISCLAIMER)
    for one in segmented.sides:
        if not isinstance(one, Found):
            print(f"{_label(records[one.side])}: not assessed ({one.reason})")
    if not found:
        return NOTHING_MEASURED
    boxes = boxes_of(volume, assistant.organ, segmented.registration, side)
    steps = explain(volume, found, boxes, assistant.organ, name, ensemble)
    for explained in shown(steps, len(found), "Sides"):
        with written_whole(chosen.output) as folder:
            for kind, values in explained.maps.items():
                write_map(folder / f"{kind}_{explained.side}.nii.gz", values, volume.geometry)
            write_png(explained_view(volume, explained, is_crop=side is not None), folder)
        print(_told(explained, records[explained.side]))
    return OK


def _wanted(assistant: "Assistant", structure: str | None) -> "tuple[str, Ensemble]":
    """Return what is explained and the networks that draw it; raises ValueError without any."""
    from assistant.exams import SUPPLIED
    from segment.models.ensemble import Ensemble

    exam, effort = assistant.exam, assistant.settings.effort
    if exam.segmenter == SUPPLIED:
        msg = f"exam {exam.name}: expected one whose networks draw, found one that takes a"
        raise ValueError(f"{msg} segmentation; choose --exam {DEFAULT_EXAM}")
    if effort != EFFORT:
        msg = f"expected the effort {EFFORT}, which has the intervals that are explained, found"
        raise ValueError(f"{msg} {effort}; leave --effort out")
    name = structure or exam.structures[0]
    if name not in exam.structures:
        msg = f"expected a structure of the exam ({', '.join(exam.structures)}), found {name!r}"
        raise ValueError(f"{msg}; choose one of them")
    ensemble = assistant.loading.result()
    if not isinstance(ensemble, Ensemble):
        msg = f"expected an ensemble of networks to look into, found {ensemble.name}; choose unet"
        raise ValueError(msg)
    return name, ensemble


def _is(record: "Measurement", name: str) -> bool:
    return (record.structure, record.quantity) == (name, "volume")


def _told(explained: "Explained", record: "Measurement") -> str:
    """Say what a record's volume hangs on, and where its interval's width comes from."""
    change_ml = explained.strongest_change_ml()
    told = f"{record_line(record)}; changes by {change_ml:+.2f} mL at most where 8 mm are"
    share = explained.half_of_width()
    return f"{told} hidden; half of the disagreement lies on {share:.0%} of the surface"


def _label(record: "Measurement") -> str:
    return f"{record.id} {record.side} {record.structure}"
