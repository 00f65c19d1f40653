"""Importing costs little and changes nothing: no heavy package, no logging, no seed."""

import importlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from segment.models.hiding import hidden

HEAVY = "torch monai transformers gradio open_clip peft accelerate SimpleITK"
AT_HELP = f"{HEAVY} numpy scipy nibabel pydicom nilearn skimage PIL".split()
LIGHT_MODULES = [
    "assistant",
    "assistant.cli",
    "assistant.report",
    "assistant.verify",
    "assistant.settings",
    "prompts",
    "segment",
    "segment.organs",
    "segment.models",
]
PROBE = """
import json, logging, os, random, sys
before = dict(os.environ), random.getstate(), list(logging.getLogger().handlers)
level = logging.getLogger().level
import {module}
after = dict(os.environ), random.getstate(), list(logging.getLogger().handlers)
json.dump(
    {{
        "loaded": sorted({{name.partition(".")[0] for name in sys.modules}}),
        "is_unchanged": before == after and level == logging.getLogger().level,
    }},
    sys.stdout,
)
"""


def imported(module):
    """Import a module in a process of its own; return what that loaded and changed."""
    code = PROBE.format(module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout) | {"said": done.stderr}


@pytest.mark.parametrize("module", LIGHT_MODULES)
def test_a_light_module_loads_no_heavy_package(module):
    assert set(imported(module)["loaded"]) & set(HEAVY.split()) == set()


@pytest.mark.parametrize("module", ["assistant", "assistant.cli"])
def test_what_help_needs_loads_nothing_beyond_the_standard_library(module):
    assert set(imported(module)["loaded"]) & set(AT_HELP) == set()


@pytest.mark.parametrize("module", ["assistant", "assistant.pipeline"])
def test_importing_changes_nothing_and_says_nothing(module):
    found = imported(module)
    assert found["is_unchanged"]
    assert found["said"] == ""


def test_the_pipeline_loads_no_framework_before_it_is_used():
    frameworks = set(HEAVY.split()) - {"SimpleITK"}
    assert set(imported("assistant.pipeline")["loaded"]) & frameworks == set()


def test_every_public_name_is_there():
    import assistant

    assert {name for name in assistant.__all__ if getattr(assistant, name).__name__ == name} == set(
        assistant.__all__
    )


def test_a_name_that_is_not_public_is_an_attribute_error():
    import assistant

    with pytest.raises(AttributeError, match="no attribute 'Radiologist'"):
        assistant.Radiologist  # noqa: B018


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that nobody has imported yet."""
    (tmp_path / "seldom_used.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "seldom_used"
    sys.modules.pop("seldom_used", None)


def test_a_package_is_hidden_from_one_thread_and_found_by_the_others(package):
    with hidden(package), ThreadPoolExecutor(1) as other:
        with pytest.raises(ModuleNotFoundError, match="hidden"):
            importlib.import_module(package)
        assert other.submit(importlib.import_module, package).result().VALUE == 1


def test_a_hidden_package_is_found_again_afterwards(package):
    with hidden(package), pytest.raises(ModuleNotFoundError, match="hidden"):
        importlib.import_module(package)
    assert importlib.import_module(package).VALUE == 1
