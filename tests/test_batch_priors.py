"""A session that a batch compares with the one before it, and one that it cannot."""

import zipfile
from dataclasses import replace

import numpy as np
import pytest

from assistant.batch.item import Item
from assistant.batch.source import read_earlier
from segment.change import RELATIVE
from segment.errors import ScanError
from segment.register.pair import Alignment
from tests.batches import crop, crops, toy, written
from tests.followed import REPEATABILITY
from tests.phantoms import head, registered
from tests.test_batch import AXES, report, run


def repeated(settings):
    return replace(toy(settings), repeatability=REPEATABILITY)


def later(tmp_path, today, before=None):
    """Run a dataset of one person with two sessions; return the outcomes by session."""
    root = tmp_path / "bids"
    for session, volume in (("ses-1", before), ("ses-2", today)):
        scan = root / "sub-01" / session / "anat" / f"sub-01_{session}_T1w.nii.gz"
        written(scan, volume.array, volume.geometry.affine)
    (root / "participants.tsv").write_text("participant_id\nsub-01\n")
    found = run(root, tmp_path / "out", side=None, recipe=repeated)
    return {session: found[f"sub-01_{session}"] for session in ("ses-1", "ses-2")}


def test_a_session_is_compared_with_the_one_before_it(tmp_path, monkeypatch):
    for module in ("assistant.pipeline", "assistant.followup"):
        monkeypatch.setattr(f"{module}.register", lambda volume: registered())
    monkeypatch.setattr(
        "assistant.followup.align", lambda scans, found: Alignment(np.eye(4), 1.0, 0.0)
    )
    today, before = (head(field_mm=110, semi_axes_mm=axes).volume for axes in AXES)
    found = later(tmp_path, today, before)
    sides = {
        session: {m.side for m in outcome.measurements if m.quantity == RELATIVE}
        for session, outcome in found.items()
    }
    assert sides == {"ses-1": set(), "ses-2": {"left", "right"}}
    folders = {session: tmp_path / f"out/studies/sub-01_{session}" for session in found}
    pictures = {name: [*path.glob("overlay_change_*.png")] for name, path in folders.items()}
    assert {name: len(found) for name, found in pictures.items()} == {"ses-1": 0, "ses-2": 2}
    provenance = report(folders["ses-2"])["provenance"]
    assert [p["input_sha256"] for p in provenance["prior"]] == [found["ses-1"].input_sha256]


def test_a_prior_that_cannot_be_one_is_the_reason_in_the_row(tmp_path, monkeypatch):
    monkeypatch.setattr("assistant.pipeline.register", lambda volume: registered())
    today = head(field_mm=110).volume
    found = later(tmp_path, today, today)
    assert found["ses-1"].status == "drafted"
    assert (found["ses-2"].status, found["ses-2"].code) == ("failed", "same-study")
    assert found["ses-2"].sentence.startswith("sub-01_ses-2: the prior study: expected another")


def test_which_of_several_files_is_not_told_by_their_names(tmp_path):
    crops(tmp_path / "in" / "DOE_JOHN", 2)
    with zipfile.ZipFile(tmp_path / "in" / "x.zip", "w") as archive:
        for path in (tmp_path / "in" / "DOE_JOHN").iterdir():
            archive.write(path, f"DOE_JOHN/{path.name}")
            path.unlink()
    (outcome,) = run(tmp_path / "in", tmp_path / "out").values()
    assert (outcome.status, outcome.code) == ("failed", "several-series")
    assert outcome.sentence == (
        "0001: expected one scan, found several; give one, or a manifest with its series"
    )


def test_a_prior_that_cannot_be_read_is_called_the_prior(tmp_path):
    good, bad = Item("b", (), "hippocampus", "en"), Item("a", (), "hippocampus", "en")
    scan = crop(tmp_path / "b.nii.gz")
    (tmp_path / "a.nii.gz").write_bytes(b"no scan")
    good = replace(good, paths=(scan,), earlier=replace(bad, paths=(tmp_path / "a.nii.gz",)))
    with pytest.raises(ScanError, match=r"^the prior study: expected "):
        read_earlier(good, "MR")
    assert read_earlier(replace(good, side="left"), "MR") == ()
