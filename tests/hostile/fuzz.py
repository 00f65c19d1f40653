"""Flips bits of small good files and cuts them, by a seed, and reads what comes of it."""

import json
import random
import signal
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assistant.deidentify import read_key, write_key
from assistant.referral import read_prior_report
from assistant.study import read_study
from assistant.verify import verify_report
from segment.errors import ScanError
from segment.reading.deidentify import deidentify
from segment.reading.parse import UnreadableError, describe, list_directory
from segment.reading.pseudonym import Pseudonyms
from tests.hostile.make import archive, dicom_slices, nifti, slice_file
from tests.hostile.objects import directory

HANGS_S = 10
KEY = Pseudonyms(bytes(32))
REFUSALS = (ScanError, UnreadableError)


def read_volume(path):
    """Read a scan, whose numbers are then all finite."""
    assert np.isfinite(read_study(path).volume.array).all()


def read_report(path):
    """Check a report.json as `voxcite verify` does."""
    try:
        table = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UnreadableError("damaged") from error
    if not isinstance(table, dict) or verify_report(table):
        raise UnreadableError("damaged")


def parsed(path):
    """Parse a DICOM header as the process with limits does; what fails there is one word."""
    try:
        describe(path, ["PatientName"])
    except (UnreadableError, MemoryError):
        raise
    except Exception as error:  # as segment.reading.child answers it
        raise UnreadableError("damaged") from error


def cleaned(path):
    """De-identify a file as the process with limits does."""
    try:
        _, content = deidentify(path, KEY)
    except UnreadableError:
        raise
    except Exception as error:  # as segment.reading.child answers it
        raise UnreadableError("damaged") from error
    assert b"Quetzal" not in content


def listed(path):
    """List the files of a DICOMDIR as the process with limits does."""
    try:
        list_directory(path)
    except Exception as error:  # as segment.reading.child answers it
        raise UnreadableError("damaged") from error


def plain(folder):
    return nifti(folder, "scan.nii")


def packed(folder):
    return archive(folder, [("scan.nii", nifti(folder, "in.nii").read_bytes())])


def report(folder):
    from assistant.report import report_bytes
    from tests.test_report import drafted

    path = folder / "report.json"
    path.write_bytes(report_bytes(drafted()))
    return path


def key(folder):
    write_key(folder / "key.json", KEY)
    return folder / "key.json"


def prior(folder):
    (folder / "prior.txt").write_text("Hippocampi of usual size, 左侧海马。", encoding="utf-8")
    return folder / "prior.txt"


def whole_series(folder):
    return sorted(dicom_slices(folder / "study").iterdir())[2]


def read_its_series(path):
    """Read the series that a damaged slice is one of, in a process with limits."""
    read_volume(path.parent)


# Format -> what makes a good file, what reads it, and its share of the runs. A whole series starts
# a process for each run, so that it gets few; the same code runs without one in the rows below it.
FORMATS = {
    "NIfTI": (plain, read_volume, 0.30),
    "gzip": (nifti, read_volume, 0.15),
    "zip": (packed, read_volume, 0.15),
    "DICOM header": (slice_file, parsed, 0.15),
    "DICOM, de-identified": (slice_file, cleaned, 0.11),
    "DICOMDIR": (lambda folder: directory(folder, ["00-1-0"]), listed, 0.05),
    "report": (report, read_report, 0.02),
    "key": (key, read_key, 0.03),
    "prior report": (prior, read_prior_report, 0.03),
    "DICOM series": (whole_series, read_its_series, 0.01),
}


@dataclass(frozen=True)
class Fuzzed:
    """How many runs of a format were read, refused and hung, and what was none of these."""

    name: str
    counts: Counter
    crashes: tuple[str, ...]


class HungError(BaseException):
    """A run took more CPU time than any may; no ``except Exception`` answers it."""


@contextmanager
def at_most(seconds):
    """Stop what takes more seconds of this process's CPU: a busy machine is slow by the clock."""

    def stop(*_):
        raise HungError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def fuzzed(name, folder, runs, seed, formats=FORMATS, most_s=HANGS_S):
    """Read ``runs`` damaged files of a format; equal seeds damage them equally."""
    make, read, _ = formats[name]
    folder.mkdir()
    path = make(folder)
    whole, generator = path.read_bytes(), random.Random(f"{seed} {name}")
    counts: Counter[str] = Counter()
    crashes = []
    for run in range(runs):
        path.write_bytes(damaged(whole, generator))
        try:
            with at_most(most_s):
                read(path)
            counts["read"] += 1
        except REFUSALS:
            counts["refused"] += 1
        except HungError:
            counts["hung"] += 1
        except Exception as error:
            crashes.append(f"run {run}: {type(error).__name__}: {error}"[:200])
    return Fuzzed(name, counts, tuple(crashes))


def damaged(whole, generator):
    """Flip one to sixteen bits, half of them in the head, and cut one file in five."""
    content = bytearray(whole)
    for _ in range(generator.randrange(1, 17)):
        end = len(content) if generator.random() < 0.5 else min(len(content), 600)
        content[generator.randrange(end)] ^= 1 << generator.randrange(8)
    if generator.random() < 0.2:
        del content[generator.randrange(len(content)) :]
    return bytes(content)


def all_fuzzed(folder, runs, seed):
    """Fuzz every format with its share of the runs; yields each when it is done."""
    for name, (_, _, share) in FORMATS.items():
        yield fuzzed(name, Path(folder) / name.replace(" ", "_"), round(runs * share), seed)
