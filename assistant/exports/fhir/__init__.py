"""The report as HL7 FHIR R4: one Bundle of type collection, checked by models of fhir.resources.

Those models are R4B (4.3.0): the package has none of R4 (4.0.1), and R4B left every resource used
here as it was in R4. ImagingSelection came with R5: Media hold the pictures in its place, and
Provenance names the scan by the hash of its files. There is no subject: a report knows no patient,
and R4 asks for none. Codes of systems that begin with ``urn:voxcite:`` are this project's own,
where no standard has one.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from fhir.resources.R4B.bundle import Bundle

from assistant import exams
from assistant.exports.fhir.observation import HL7, observation
from assistant.exports.sheet import Sheet, moment, sheet
from assistant.report import Report, report_bytes, said
from assistant.rows import one_line
from segment import organs

Resource = dict[str, Any]


@dataclass(frozen=True)
class Fhir:
    """Writes a preliminary DiagnosticReport, or a final one once somebody signed."""

    suffix: str = ".fhir.json"

    def __call__(self, report: Report, pictures: Sequence[Path], created: str) -> bytes:
        """Write the bundle; raises ValueError where the models do not accept it."""
        bundle = _bundle(report, sheet(report, pictures, created), created)
        Bundle.model_validate(bundle)
        return (_json(bundle) + "\n").encode()


def _bundle(report: Report, shown: Sheet, created: str) -> Resource:
    """Collect all resources; equal reports get equal identifiers."""
    digest = sha256(report_bytes(report, created)).hexdigest()
    keys = ["report", "device", "provenance", *(m.id for m in report.measurements)]
    keys += [f"picture {number}" for number in range(len(shown.figures))]
    urls = {key: f"urn:uuid:{uuid5(NAMESPACE_URL, f'urn:voxcite:{digest}:{key}')}" for key in keys}
    time = moment(created).isoformat(timespec="seconds")
    resources = {
        "report": _diagnostic_report(report, shown, urls, time),
        **_observations(report, shown, urls, time),
        **_media(shown, urls),
        "device": _device(report),
        "provenance": _provenance(report, shown, urls, time),
    }
    return {
        "resourceType": "Bundle",
        "language": shown.language,
        "identifier": {"system": "urn:voxcite:report.json:sha256", "value": digest},
        "type": "collection",
        "timestamp": time,
        "entry": [{"fullUrl": urls[key], "resource": item} for key, item in resources.items()],
    }


def _diagnostic_report(report: Report, shown: Sheet, urls: dict[str, str], time: str) -> Resource:
    """Write the report itself, with its text for people."""
    code = {"system": "http://loinc.org", "code": "18748-4", "display": "Diagnostic imaging study"}
    impression = [said(o, shown.words) for o in report.lines if o.section == "impression"]
    markdown = base64.b64encode(report.markdown().encode()).decode()
    form = {"contentType": "text/markdown", "language": shown.language, "data": markdown}
    resource: Resource = {
        "resourceType": "DiagnosticReport",
        "language": shown.language,
        "text": {"status": "generated", "div": _narrative(shown)},
        "status": "preliminary" if shown.is_draft else "final",
        "category": [{"coding": [{"system": f"{HL7}/v2-0074", "code": "RAD"}]}],
        "code": {"coding": [code], "text": shown.title},
        "issued": time,
        "result": [_to(urls[m.id]) for m in report.measurements],
        "conclusion": "\n".join(impression),
        "presentedForm": [{**form, "title": shown.mark}],
    }
    if report.signed_by is not None:
        resource["resultsInterpreter"] = [{"display": one_line(report.signed_by)}]
    if shown.figures:
        pictures = [urls[f"picture {number}"] for number in range(len(shown.figures))]
        captions = [figure.caption for figure in shown.figures]
        resource["media"] = [
            {"comment": caption, "link": _to(url)}
            for caption, url in zip(captions, pictures, strict=True)
        ]
    return resource


def _narrative(shown: Sheet) -> str:
    """Write the report as XHTML: the mark, the disclaimer, the sections and the table."""
    parts = [f"<p><b>{escape(shown.mark)}</b></p><p>{escape(shown.disclaimer)}</p>"]
    parts.append(f"<h1>{escape(shown.title)}</h1>")
    for heading, sentences in shown.sections:
        items = "".join(f"<li>{escape(s.text)}{escape(s.marks)}</li>" for s in sentences)
        parts.append(f"<h2>{escape(heading)}</h2><ul>{items}</ul>")
    rows = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in shown.rows]
    head = "".join(f"<th>{escape(column)}</th>" for column in shown.columns)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
    tag = shown.language
    return (
        f'<div xmlns="http://www.w3.org/1999/xhtml" lang="{tag}" xml:lang="{tag}">'
        f"{''.join(parts)}</div>"
    )


def _observations(
    report: Report, shown: Sheet, urls: dict[str, str], time: str
) -> dict[str, Resource]:
    """Write one observation a record, by its id."""
    measured = tuple(map(organs.load, exams.load(report.exam).organs))
    status = {"status": "preliminary" if shown.is_draft else "final", "issued": time}
    device = {"device": _to(urls["device"])}
    found = {}
    for record in report.measurements:
        sources = re.findall(r"m[1-9][0-9]*", record.expression or "")
        derived = {"derivedFrom": [_to(urls[key]) for key in dict.fromkeys(sources)]}
        resource = observation(record, organs.owner(measured, record.structure), shown.words)
        found[record.id] = resource | status | device | (derived if sources else {})
    return found


def _media(shown: Sheet, urls: dict[str, str]) -> dict[str, Resource]:
    """Write the pictures, each with what it shows."""
    return {
        f"picture {number}": {
            "resourceType": "Media",
            "status": "completed",
            "type": {"coding": [{"system": f"{HL7}/media-type", "code": "image"}]},
            "device": _to(urls["device"]),
            "content": {
                "contentType": "image/png",
                "data": base64.b64encode(figure.png).decode(),
                "title": figure.caption,
            },
        }
        for number, figure in enumerate(shown.figures)
    }


def _device(report: Report) -> Resource:
    """Write the software that measured and wrote."""
    versions = report.provenance.get("versions")
    named = versions.items() if isinstance(versions, Mapping) else ()
    return {
        "resourceType": "Device",
        "status": "active",
        "deviceName": [{"name": "voxcite", "type": "model-name"}],
        "type": {"text": "software"},
        "version": [
            {"component": {"value": one_line(name)}, "value": one_line(str(value))}
            for name, value in named
        ],
    }


def _provenance(report: Report, shown: Sheet, urls: dict[str, str], time: str) -> Resource:
    """Write what the report was made from, by what, and who signed it."""
    made = [urls[key] for key in ("report", *(m.id for m in report.measurements))]
    lines = "".join(
        f"<p>{escape(label)}{shown.words.marks['colon']}{escape(value)}</p>"
        for label, value in shown.provenance
    )
    resource: Resource = {
        "resourceType": "Provenance",
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{lines}</div>',
        },
        "target": [_to(url) for url in made],
        "recorded": time,
        "activity": {"coding": [{"system": f"{HL7}/v3-DataOperation", "code": "CREATE"}]},
        "agent": list(_agents(report, urls["device"])),
    }
    if entities := list(_entities(report)):
        resource["entity"] = entities
    return resource


def _agents(report: Report, device: str) -> Iterator[Resource]:
    """Write what assembled the report, and who verified it."""
    yield _agent("assembler", _to(device))
    if report.signed_by is not None:
        yield _agent("verifier", {"display": one_line(report.signed_by)})


def _agent(code: str, who: Resource) -> Resource:
    """Write who did what."""
    return {
        "type": {"coding": [{"system": f"{HL7}/provenance-participant-type", "code": code}]},
        "who": who,
    }


def _entities(report: Report) -> Iterator[Resource]:
    """Write the scan and the model by the hashes of their bytes: no name, no path."""
    for key in ("input_sha256", "model_sha256"):
        if value := report.provenance.get(key):
            identifier = {"system": "urn:voxcite:sha256", "value": one_line(str(value))}
            display = key.removesuffix("_sha256")
            yield {"role": "source", "what": {"identifier": identifier, "display": display}}


def _to(url: str) -> Resource:
    """Refer to another resource of the bundle."""
    return {"reference": url}


def _json(value: object) -> str:
    """Write JSON; a Decimal keeps its last zeros, which FHIR reads as precision."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dict):
        items = (f"{json.dumps(key)}:{_json(item)}" for key, item in value.items())
        return "{" + ",".join(items) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
