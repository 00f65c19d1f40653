"""torchvision can be imported beside any build of torch."""

import subprocess
import sys

import pytest


def run(code):
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_the_classes_that_need_torchvision_can_be_imported_after_the_shim():
    code = (
        "from assistant.vision_shim import ensure_torchvision; ensure_torchvision();"
        "from torchvision.ops import nms; from transformers import SiglipVisionModel"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_second_call_does_nothing():
    code = (
        "from assistant.vision_shim import ensure_torchvision as e; e(); e();"
        "import torchvision, assistant.vision_shim as s; print(len(s._KEPT))"
    )
    done = run(code)
    assert done.stdout.strip() in {"0", "1"}, done.stderr


def test_without_torchvision_nothing_is_done():
    code = (
        "import sys; sys.modules['torchvision'] = None;"
        "from assistant.vision_shim import ensure_torchvision; ensure_torchvision()"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr
