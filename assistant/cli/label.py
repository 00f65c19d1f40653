"""The command ``voxcite label``: writes what a user's networks draw in a scan. Decides nothing."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.terminal import DISCLAIMER, OK, SERIES_HELP, STUDY_HELP, bar_of, expect_nifti

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands

NNUNET = "nnunet:"


def add_label(commands: "Commands") -> None:
    """Describe the command."""
    label = commands.add_parser("label", help="draw labels in a scan of any size with own networks")
    label.add_argument("scan", help=STUDY_HELP)
    label.add_argument("-o", "--output", type=Path, required=True, metavar="LABELS.nii.gz")
    label.add_argument(
        "--model", required=True, metavar="nnunet:FOLDER", help="what nnU-Net v2 trained"
    )
    label.add_argument("--trust", action="store_true", help="let the files of the folder run code")
    label.add_argument("--series", help=SERIES_HELP)
    label.set_defaults(run=run_label)


def run_label(chosen: argparse.Namespace) -> int:
    """Write the labels with their names, for ``--segmentation``."""
    from assistant.study import read_study
    from assistant.written import written_whole
    from segment.errors import Refusal, ScanError
    from segment.masks.file import write_labels
    from segment.masks.table import named
    from segment.models.nnunet import load

    expect_nifti(chosen.output)
    kind, folder = chosen.model[: len(NNUNET)], chosen.model[len(NNUNET) :]
    if kind != NNUNET or not folder:
        msg = f"expected {NNUNET}FOLDER after --model, found {chosen.model[:60]!r}; give a folder"
        raise ScanError(Refusal.BAD_OPTION, msg)
    networks = load(Path(folder), is_trusted=chosen.trust)
    study = read_study(chosen.scan, series=chosen.series)
    with bar_of(1, "label") as bar:

        def told(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        labels = networks.labels(study.volume, told)
    names = dict(enumerate(networks.plans.labels))
    with written_whole(chosen.output.parent) as temporary:
        path = temporary / chosen.output.name
        write_labels(path, labels, study.volume.geometry, names)
    print("DRAFT. " + DISCLAIMER)
    print(f"{networks.name}, weights sha256 {networks.weights_sha256}")
    drawn = named("of the folder", [(n, name) for n, name in names.items() if n]).labels
    known = sum(label.structure is not None for label in drawn)
    print(f"wrote {chosen.output.name}; its outlines were not checked")
    print(f"{known} of {len(drawn)} labels are structures that a report states")
    return OK
