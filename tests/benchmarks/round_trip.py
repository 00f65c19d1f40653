"""What every file says of generated reports, read back by other programs, beside report.json.

    python -m tests.benchmarks.round_trip [--reports 200]

Each report counts random labels in a series; programs that did not write a format read it.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import prompts
from assistant import exports
from assistant.cli.terminal import shown
from assistant.exports.source import Source
from assistant.report import Report
from tests.exported import MADE, instance_of
from tests.round_trips import generated, pm_mismatches, scan_of, seg_mismatches
from tests.test_dicom_exports import EXAM, dcmqi, dcmqi_mismatches, sr_mismatches
from tests.test_exports import docx_rows, fhir_mismatches, mismatches, pdf_rows

ROWS = {"pdf": pdf_rows, "docx": docx_rows}
READERS = {
    "docx": "python-docx",
    "pdf": "pdftotext",
    "fhir": "fhir.resources",
    "dicom_sr": "pydicom, tid1500reader",
    "dicom_seg": "pydicom, segimage2itkimage",
    "dicom_pm": "pydicom",
}


def differences(name: str, report: Report, source: Source, folder: Path) -> Iterator[str]:
    """Write one report in one format and list what its readers find that it does not say."""
    data = exports.load(name, source)(report, [], MADE)
    if name in ROWS:
        yield from mismatches(name, data, report, ROWS[name](data))
    elif name == "fhir":
        yield from fhir_mismatches(data, report)
    elif name == "dicom_sr":
        yield from sr_mismatches(instance_of(data), report)
        yield from dcmqi_mismatches(instance_of(data), report, folder)
    elif name == "dicom_seg":
        yield from seg_mismatches(data, report, folder, dcmqi)
    else:
        yield from pm_mismatches(data, source)


def main(arguments: list[str] | None = None) -> int:
    """Print a row a format and language; 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=200)
    count = parser.parse_args(arguments).reports
    found: Counter[tuple[str, str]] = Counter()
    told: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        scan, study = scan_of(folder)
        pairs = [(seed, language) for language in prompts.languages() for seed in range(count)]
        for seed, language in shown(iter(pairs), len(pairs), "Reading reports back"):
            report, source = generated(seed, language, scan, study, folder, EXAM)
            for name in READERS:
                wrong = list(differences(name, report, source, folder))
                found[name, language] += len(wrong)
                told += [f"{name}, {language}, report {seed}: {one}" for one in wrong]
    print("| format | read by | language | reports | mismatches |\n|---|---|---|---:|---:|")
    for (name, language), wrong in sorted(found.items()):
        print(f"| {name} | {READERS[name]} | {language} | {count} | {wrong} |")
    print("\n".join(told[:50]))
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
