"""Where things are on the page and which act each control calls. Decides nothing.

One page a language: words never change under somebody who reads.
"""

from collections.abc import Callable, Iterator
from functools import update_wrapper
from inspect import isgeneratorfunction
from typing import Any, Literal

import gradio as gr
from gradio.events import api

import prompts
from assistant import exams
from assistant.page import viewer
from assistant.page.actions import Actions
from assistant.page.guard import OWNER
from assistant.page.markup import tag, text
from assistant.page.model import model
from assistant.page.program import Program
from assistant.page.server import Parts
from assistant.page.showing import REFERRAL, Updates
from assistant.referral import LONGEST_INDICATION, LONGEST_PRIOR_REPORT
from assistant.writers.questions import LONGEST_QUESTION
from prompts import page

LONGEST = (LONGEST_INDICATION, LONGEST_INDICATION, LONGEST_PRIOR_REPORT)  # as in REFERRAL
QUESTIONS = 4  # suggested at once
SETTINGS = {  # what an update of a component sets, where that is not its value
    "several": "open",
    "stop": "interactive",
    "compare": "interactive",
    "apart": "interactive",
    "editing": "visible",
}
HEAD = """
<script src="/static/niivue.umd.js" defer></script>
<script src="/static/page.js" defer></script>
<link rel="stylesheet" href="/static/page.css">
"""
BRIDGE = (
    "const wait = () => window.voxcite ? window.voxcite.bridge(trigger) : setTimeout(wait, 50);"
    " wait();"
)
FEED = (
    "const take = () => window.voxcite ? window.voxcite.take(props.value) : setTimeout(take, 50);"
    " watch('value', take); take();"
)
Components = dict[str, Any]


def mount(app: Any, parts: Parts, language: str) -> None:  # noqa: ANN401  FastAPI
    """Put the page of one language into the server."""
    gr.mount_gradio_app(
        app,
        blocks(parts, language),
        path=f"/{language}",
        auth_dependency=lambda request: request.scope.get(OWNER),
        footer_links=[],
        run_history=False,
        show_error=False,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        max_file_size=1,
        allowed_paths=[],
        theme=_theme(),
        head=HEAD,
        js=f"() => {{ document.documentElement.lang = {prompts.load(language).export['tag']!r}; }}",
    )


def _theme() -> Any:  # noqa: ANN401  gradio's own type
    """Take fonts of the machine, and colours that stand out enough to be read."""
    plain = gr.themes.Base(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
    return plain.set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        body_text_color_subdued="*neutral_700",
        body_text_color_subdued_dark="*neutral_300",
        block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_700",
        layout_gap="10px",
        block_padding="8px 10px",
    )


def blocks(parts: Parts, language: str) -> gr.Blocks:
    """Lay the page out and connect it."""
    say = page.load(language)
    made: gr.Blocks
    with gr.Blocks(
        title=say["title"], analytics_enabled=False, fill_width=True, delete_cache=(600, 600)
    ) as made:
        found = _components(language, has_login=parts.options.doorkeeper is not None)
        _serve(Program(parts, language))  # first: their names are theirs
        _connect(made, found, Actions(parts, language))
    made.queue(default_concurrency_limit=20, max_size=200, status_update_rate="auto")
    return made


def _components(language: str, *, has_login: bool) -> Components:
    """Make every component, by the name under which acts speak of it."""
    say = page.load(language)
    found: Components = {name: gr.State("") for name in ("study", "seen", "asked", "modelled")}
    gr.HTML(_banner(language, has_login=has_login))
    with gr.Row(equal_height=False):
        with gr.Column(scale=6, min_width=480):
            found |= _opening(say, language) | _seeing(say, language)
        with gr.Column(scale=6, min_width=480):
            found |= _reading(say) | _asking(say)
    return found


def _opening(say: Any, language: str) -> Components:  # noqa: ANN401  a table of words
    """Lay out how a study is opened."""
    found: Components = {}
    with gr.Group():
        with gr.Row():
            found["studies"] = gr.Dropdown(label=say["study.open"], choices=[], filterable=False)
            names = prompts.load(language).exams
            found["exam"] = gr.Dropdown(
                label=say["study.exam"],
                choices=[(names[name], name) for name in exams.drawn()],
                value=exams.drawn()[0],
                filterable=False,
            )
        with gr.Accordion(say["referral"], open=False):
            gr.HTML(tag("p", text(say["referral.told"]), class_="vx-note"))
            for name, longest in zip(REFERRAL, LONGEST, strict=True):
                found[name] = gr.Textbox(
                    "",
                    label=say[f"referral.{name}"],
                    max_lines=6,
                    max_length=longest,
                    elem_id=f"vx-{name}",
                )
        gr.HTML(viewer.chooser(language), apply_default_css=False)
        with gr.Row():
            found["sample"] = gr.Button(say["study.sample"], variant="primary", size="sm")
            found["stop"] = gr.Button(say["stop"], size="sm", variant="stop", interactive=False)
        found["status"] = gr.HTML("", elem_id="vx-status")
    with gr.Accordion(say["study.series"], open=False) as found["several"], gr.Row():
        found["series"] = gr.Textbox("", label=say["study.series"], max_lines=1)
        found["reread"] = gr.Button(say["study.again"], size="sm")
    return found


def _seeing(say: Any, language: str) -> Components:  # noqa: ANN401
    """Lay out the images and the evidence."""
    gr.HTML(tag("h2", text(say["viewer"])))
    gr.HTML(viewer.viewer(language), apply_default_css=False)
    found: Components = {
        "bridge": gr.HTML("", html_template="<span></span>", js_on_load=BRIDGE, visible="hidden"),
        "feed": gr.HTML("{}", html_template="<span></span>", js_on_load=FEED, visible="hidden"),
    }
    with gr.Accordion(say["viewer.model"], open=False) as found["models"]:
        gr.HTML(tag("p", text(say["viewer.surface_told"]), class_="vx-note"))
        found["model"] = model(say["viewer.model"])
    with gr.Accordion(say["prior"], open=False):
        gr.HTML(viewer.chooser(language, "input"), apply_default_css=False)
        found["beside"] = gr.HTML("", elem_id="vx-beside")
        with gr.Row():
            found["compare"] = gr.Button(say["prior.compare"], size="sm", interactive=False)
            found["apart"] = gr.Button(say["prior.remove"], size="sm", interactive=False)
    gr.HTML(tag("h2", text(say["evidence"])))
    found["evidence"] = gr.HTML("", apply_default_css=False)
    found["change"] = gr.HTML("", apply_default_css=False, elem_id="vx-change")
    return found


def _reading(say: Any) -> Components:  # noqa: ANN401
    """Lay out the draft and what can be done to it."""
    gr.HTML(tag("h2", text(say["draft"])))
    found: Components = {"draft": gr.HTML("", apply_default_css=False, elem_id="vx-draft")}
    found["notice"] = gr.HTML("", apply_default_css=False, elem_id="vx-notice")
    found["who"] = gr.Textbox("", label=say["who"], max_lines=1, max_length=120)
    with gr.Group(visible=False, elem_id="vx-editing") as found["editing"]:
        found["line"] = gr.Number(0, visible=False, precision=0)
        found["sentence"] = gr.Textbox(
            label=say["edit.text"], lines=3, max_length=2000, elem_id="vx-sentence"
        )
        found["preview"] = gr.HTML("")
        with gr.Row():
            found["keep"] = gr.Button(say["edit.save"], variant="primary", size="sm")
            found["leave"] = gr.Button(say["edit.cancel"], size="sm")
            found["remove"] = gr.Button(say["edit.remove"], size="sm", variant="stop")
    with gr.Accordion(say["override"], open=False):
        with gr.Row():
            found["records"] = gr.Dropdown(
                label=say["override.record"], choices=[], filterable=False, scale=3, min_width=160
            )
            for name in ("value", "lower", "upper"):
                found[name] = gr.Number(
                    None, label=say[f"override.{name}"], minimum=0, min_width=100
                )
        found["override"] = gr.Button(say["override.save"], size="sm")
    with gr.Row():
        found["undo"] = gr.Button(say["undo"], size="sm")
        found["sign"] = gr.Button(say["sign"], variant="primary", size="sm")
    return found


def _asking(say: Any) -> Components:  # noqa: ANN401
    """Lay out the questions, the files and the trail."""
    found: Components = {}
    gr.HTML(tag("h2", text(say["chat"])))
    found["chatbot"] = gr.Chatbot(
        label=say["chat"],
        show_label=False,
        height=320,
        elem_id="vx-chat",
        buttons=["copy", "copy_all"],
        feedback_options=None,
        placeholder=say["chat.empty"],
        latex_delimiters=[],
        allow_file_downloads=False,
        allow_tags=False,
    )
    with gr.Row(elem_id="vx-suggested"):
        found["suggestions"] = [
            gr.Button("", size="sm", visible=False, min_width=120) for _ in range(QUESTIONS)
        ]
    found["question"] = gr.Textbox(
        label=say["chat.placeholder"],
        max_lines=3,
        max_length=LONGEST_QUESTION,
        elem_id="vx-question",
    )
    with gr.Row():
        found["send"] = gr.Button(say["chat.send"], variant="primary", size="sm")
        found["hush"] = gr.Button(
            say["stop"], size="sm", variant="stop", elem_id="vx-hush", interactive=False
        )
        found["again"] = gr.Button(say["chat.retry"], size="sm")
    with gr.Accordion(say["export"], open=False):
        found["exports"] = gr.HTML("", apply_default_css=False)
    with gr.Accordion(say["trail"], open=False):
        found["trail"] = gr.HTML("", apply_default_css=False)
    with gr.Accordion(say["study.delete"], open=False):
        found["delete"] = gr.Button(say["study.delete_sure"], variant="stop", size="sm")
    return found


def _connect(made: gr.Blocks, found: Components, act: Actions) -> None:
    """Connect each control with its act."""
    study, exam, series = (found[name] for name in ("study", "exam", "series"))
    mine = (study, found["seen"], found["who"])  # whose report, as it is seen, is changed by whom
    written = [found[name] for name in REFERRAL]

    def on(  # gradio's own types
        trigger: Any,  # noqa: ANN401
        function: Any,  # noqa: ANN401
        *given: Any,  # noqa: ANN401
        cancels: Any = None,  # noqa: ANN401
        mode: Literal["multiple"] | None = None,
    ) -> Any:  # noqa: ANN401
        return trigger(
            _shown(found, function),
            list(given),
            _outputs(found),
            cancels=cancels,
            api_visibility="private",
            show_progress="hidden",
            concurrency_limit=20,
            trigger_mode=mode,
        )

    # Gradio's browser drops what is asked for while the same act has not ended, unless "multiple":
    # another study may be chosen while one is watched, and act.chat itself says that it is busy.
    watching = [
        on(made.load, act.load),
        on(found["sample"].click, act.open_sample, exam, *written),
        on(found["bridge"].upload, act.open_upload, exam, series, *written, mode="multiple"),
        on(found["reread"].click, act.reread, study, series),
        on(found["bridge"].submit, act.pick, study, mode="multiple"),
        on(found["studies"].input, act.choose, found["studies"], study, mode="multiple"),
        on(found["bridge"].input, act.open_prior, study, mode="multiple"),
        on(found["compare"].click, act.compare, study),
    ]
    on(found["apart"].click, act.drop_prior, study)
    # Gradio's viewer draws nothing of what it was told while it was closed, or told twice at once.
    on(found["models"].expand, act.open_model, study)
    on(found["models"].collapse, act.close_model)
    on(found["feed"].change, act.change_model, study, found["modelled"])
    on(found["delete"].click, act.delete, study)
    on(found["bridge"].edit, act.edit, study)
    on(found["sentence"].change, act.preview, study, found["sentence"])
    on(found["keep"].click, act.keep, *mine, found["line"], found["sentence"])
    on(found["remove"].click, act.remove, *mine, found["line"])
    found["leave"].click(
        lambda: gr.update(visible=False), None, found["editing"], api_visibility="private"
    )
    on(found["bridge"].select, act.accept, *mine)
    numbers = (found["value"], found["lower"], found["upper"])
    on(found["override"].click, act.override, *mine, found["records"], *numbers)
    on(found["undo"].click, act.undo, *mine)
    on(found["sign"].click, act.sign, *mine)
    on(found["send"].click, act.chat.ask, study, found["question"], mode="multiple")
    on(found["question"].submit, act.chat.ask, study, found["question"], mode="multiple")
    on(found["again"].click, act.chat.ask, study, found["asked"], mode="multiple")
    for button in found["suggestions"]:
        on(button.click, act.chat.ask, study, button, mode="multiple")
    on(found["hush"].click, act.chat.hush, study)
    on(found["stop"].click, act.stop, study, cancels=watching)


def _serve(program: Program) -> None:
    """Name the endpoints for programs."""
    api(program.draft, api_name="draft", concurrency_limit=20)
    api(program.ask, api_name="ask", concurrency_limit=4)
    api(program.export, api_name="export", concurrency_limit=4)


def _outputs(found: Components) -> list[Any]:
    """List every component that an act may change."""
    flat: list[Any] = []
    for component in found.values():
        flat += component if isinstance(component, list) else [component]
    return flat


def _shown(found: Components, function: Callable[..., Any]) -> Callable[..., Any]:
    """Take what an act says by name to the components of these names."""

    def once(*given: Any) -> dict[Any, Any]:  # noqa: ANN401
        return _changed(found, function(*given))

    def many(*given: Any) -> Iterator[dict[Any, Any]]:  # noqa: ANN401
        for updates in function(*given):
            yield _changed(found, updates)

    wrapped = many if isgeneratorfunction(function) else once
    return update_wrapper(wrapped, function)  # gradio passes what its parameters ask for


def _changed(found: Components, updates: Updates) -> dict[Any, Any]:
    """Say for each component what it becomes; Gradio takes no answer without any."""
    changed: dict[Any, Any] = {}
    for name, value in updates.items():
        if name in ("suggestions", "hush"):
            for component, update in BUTTONS[name](found, value).items():
                changed[component] = changed.get(component, {}) | update
        elif (setting := SETTINGS.get(name)) is not None:
            changed[found[name]] = gr.update(**{setting: value})
        else:
            changed[found[name]] = value
    return changed or {found["study"]: gr.skip()}


def _suggested(found: Components, questions: tuple[str, ...]) -> dict[Any, Any]:
    """Put a question on each button, and hide those that are left."""
    padded = (*questions, *("" for _ in range(QUESTIONS)))[:QUESTIONS]
    return {
        button: gr.update(value=question, visible=bool(question))
        for button, question in zip(found["suggestions"], padded, strict=True)
    }


def _hushable(found: Components, is_told: bool) -> dict[Any, Any]:
    """Let an answer be stopped while it is told, and let nothing else be asked meanwhile."""
    asking = (found["send"], found["again"], *found["suggestions"])
    waiting = {button: gr.update(interactive=not is_told) for button in asking}
    return {found["hush"]: gr.update(interactive=is_told), **waiting}


BUTTONS: dict[str, Callable[[Components, Any], dict[Any, Any]]] = {
    "suggestions": _suggested,
    "hush": _hushable,
}


def _banner(language: str, *, has_login: bool) -> str:
    """Write what stands above everything: name, purpose, warning, other language, the way out."""
    say = page.load(language)
    other = next(name for name in prompts.languages() if name != language)
    link = tag(
        "a",
        text(say["language"]),
        href=f"/{other}/",
        class_="vx-button",
        lang=prompts.load(other).export["tag"],
    )
    heading = tag("h1", text(say["title"]) + tag("small", text(say["tagline"])))
    keys = tag("p", text(say["keys"]), class_="vx-keys")
    warning = tag("p", text(say["warning"]), class_="vx-warning", role="note")
    leave = tag("button", text(say["login.leave"]), type="submit", class_="vx-button")
    out = tag("form", leave, method="post", action="/logout") if has_login else ""
    return tag("header", heading + link + out + warning + keys, class_="vx-banner")
