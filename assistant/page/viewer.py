"""The HTML of the viewer and of choosing files; ``static/page.js`` brings it to life.

Knows nothing of studies: what is shown comes as a feed of names.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from assistant.page.choosing import Shown
from assistant.page.markup import tag, text
from assistant.page.prior import Prior
from assistant.page.scene import PLANES
from prompts import page

VIEWS = {
    "Multiplanar": "multi",
    "Axial": "axial",
    "Coronal": "coronal",
    "Sagittal": "sagittal",
    "Render": "render",
}
WINDOWS = ("auto", "wide", "narrow", "bright")


def viewer(language: str) -> str:
    """Write the canvas, what stands in its place without WebGL2, and the controls."""
    say = page.load(language)
    canvas = _canvas("", say["prior.current"], say["viewer.canvas"], say)
    canvas += _canvas("-prior", say["prior.prior"], say["prior.canvas"], say, is_hidden=True)
    slices = tag("div", _slices(say), id="vx-slices", hidden=True)
    mm = tag("output", "", id="vx-mm", aria_label=say["viewer.place"])
    status = tag("p", "", id="vx-viewer-status", role="status")
    return tag(
        "div",
        _controls(say) + tag("div", canvas, id="vx-stage") + slices + mm + status,
        class_="vx-viewer",
    )


def _canvas(
    kind: str, name: str, label: str, say: Mapping[str, str], *, is_hidden: bool = False
) -> str:
    """Write one canvas, and above it whose day it shows, once there are two."""
    drawn = tag("canvas", id=f"vx-canvas{kind}", tabindex="0", role="img", aria_label=label)
    day = tag("span", "", class_="vx-day", data_undated=say["prior.undated"])
    caption = tag("figcaption", f"{text(name)} {day}", hidden=True)
    return tag("figure", caption + drawn, id=f"vx-figure{kind}", hidden=is_hidden)


def chooser(language: str, kind: str = "upload") -> str:
    """Write where files are dropped or chosen; ``kind`` is what is told when they have arrived."""
    say = page.load(language)
    inputs = "".join(
        tag("label", text(say[f"upload.{name}"]) + field, class_="vx-button")
        for name, field in (
            ("files", '<input type="file" multiple>'),
            ("folder", '<input type="file" webkitdirectory>'),
        )
    )
    bar = tag("progress", "", hidden=True, aria_label=say["upload.progress"])
    bar += tag(
        "button", text(say["upload.stop"]), type="button", class_="vx-button vx-abort", hidden=True
    )
    told = tag("p", text(say["upload.drop" if kind == "upload" else "prior.drop"]))
    return tag(
        "div",
        told + inputs + bar,
        id=f"vx-{kind}",
        class_="vx-drop",
        data_event=kind,
        data_too_large=say["upload.too_large"],
        data_failed=say["upload.failed"],
        data_empty=say["upload.empty"],
    )


def several(study: str, choices: Sequence[Shown], language: str) -> str:
    """Write a button for each series that can be chosen, with its picture; nothing for none."""
    if not choices:
        return ""
    say = page.load(language)
    buttons = "".join(_choice(study, one, say) for one in choices)
    told = tag("p", text(say["study.choose"]), class_="vx-strong")
    return tag("div", told + tag("div", buttons, class_="vx-several"))


def _choice(study: str, one: Shown, say: Mapping[str, str]) -> str:
    picture = ""
    if one.picture is not None:
        picture = f'<img alt="" src="/study/{text(study)}/series/{text(one.picture)}">'
    name = tag("strong", text(say["study.series_named"].format(label=one.label)))
    inner = picture + name + tag("span", text(one.described))
    return tag("button", inner, type="button", class_="vx-choice", data_series=one.label)


def feed(
    study: str,
    stage: str,
    places: Mapping[str, Sequence[float]],
    prior: Prior | None = None,
) -> str:
    """Say what the viewer shall load: nothing, the ``scan``, or all that was ``found`` in it."""
    surfaces = sorted({place.partition("|")[0] for place in places})
    centre = next(iter(places.values()), None)
    table: dict[str, Any] = {"study": study, "stage": stage, "surfaces": surfaces, "centre": centre}
    table["prior"] = None if prior is None else asdict(prior)
    return json.dumps(table if study and stage else {})


def _controls(say: Mapping[str, str]) -> str:
    """Write the buttons, presets and sliders."""
    views = _choices("view", {name: say[f"viewer.{key}"] for name, key in VIEWS.items()})
    sides = ("radiological", "neurological")
    conventions = _choices("convention", {name: say[f"viewer.{name}"] for name in sides})
    options = "".join(
        tag("option", text(say[f"viewer.window.{name}"]), value=name) for name in WINDOWS
    )
    window = tag("label", text(say["viewer.window"]) + tag("select", options, id="vx-window"))
    window += _number("level", say["viewer.level"]) + _number("width", say["viewer.width"])
    shares = {"labels": 0.4, "entropy": 0.0, "mutual": 0.0}
    sliders = "".join(_slider(name, say[f"viewer.{name}"], of) for name, of in shares.items())
    outline = tag("label", '<input type="checkbox" id="vx-outline">' + text(say["viewer.outline"]))
    shot = tag("button", text(say["viewer.shot"]), type="button", id="vx-shot", class_="vx-button")
    saved = tag(
        "a",
        text(say["viewer.surface"]),
        id="vx-surface",
        class_="vx-button",
        download="surface.glb",
        title=say["viewer.surface_told"],
        hidden=True,
    )
    groups = _group(say["viewer.views"], views) + _group(say["viewer.convention"], conventions)
    return tag("div", groups + window + sliders + outline + shot + saved, class_="vx-controls")


def _group(name: str, inner: str) -> str:
    return tag("div", inner, role="group", aria_label=name, class_="vx-group")


def _choices(kind: str, names: Mapping[str, str]) -> str:
    """Write buttons of which one is pressed."""
    return "".join(
        tag(
            "button",
            text(shown),
            type="button",
            data_viewer=kind,
            data_value=name,
            class_="vx-button",
            aria_pressed="true" if number == 0 else "false",
        )
        for number, (name, shown) in enumerate(names.items())
    )


def _slider(name: str, label: str, value: float) -> str:
    field = f'<input type="range" id="vx-{name}" min="0" max="1" step="0.05" value="{value}">'
    return tag("label", text(label) + field)


def _number(name: str, label: str) -> str:
    return tag("label", text(label) + f'<input type="number" id="vx-{name}" step="any">')


def _slices(say: Mapping[str, str]) -> str:
    """Write a picture and a slider for each plane."""
    told = tag("p", text(say["viewer.no_webgl"]))
    told += tag("p", text(say["prior.no_webgl"]), id="vx-slices-prior", hidden=True)
    parts = []
    for plane in PLANES:
        label = say["viewer.slice"].format(plane=say[f"viewer.{plane}"])
        image = f'<img data-plane="{plane}" alt="{text(say[f"viewer.{plane}"])}">'
        field = f'<input type="range" min="0" value="0" data-plane="{plane}">'
        parts.append(tag("figure", image + tag("label", text(label) + field)))
    return told + "".join(parts)
