"""A real SuperLink and real SuperNodes on loopback, with TLS, from the environment of Flower."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from segment.writing import toml_pair
from tests.processes import free_port, wait_for_port

REPOSITORY = Path(__file__).resolve().parents[1]
ENVIRONMENT = REPOSITORY / ".venv-federated"
BIN = ENVIRONMENT / "bin"
APP = REPOSITORY / "segment" / "federated" / "flower"
RUN_WITHIN_S = 400
ENDS_WITHIN_S = 20


def variables(home):
    """Return an environment in which Flower asks nobody outside, and finds these sources."""
    return {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "OMP_NUM_THREADS": "1",
    }


def certificates(folder):
    """Write certificates of loopback, and return where they lie."""
    script = Path(__file__).with_name("certificates.py")
    subprocess.run([BIN / "python", script, folder], check=True)
    return folder


def write_site(folder, name, plan, data, kind=None):
    """Write the settings of a site whose voxcite is the one that tests run in.

    ``kind`` is how its training goes wrong, if it does.
    """
    folder.mkdir()
    odd = ["-m", "tests.odd_site", kind] if kind else ["-m", "assistant.cli"]
    table = {
        "name": name,
        "plan": str(plan),
        "data": str(data),
        "work": "work",
        "command": [sys.executable, *odd],
    }
    file = folder / "site.toml"
    file.write_text("".join(f"{toml_pair(*pair)}\n" for pair in table.items()), encoding="utf-8")
    return file


class Link:
    """A SuperLink that runs, and the means to join it and to start a federation on it."""

    def __init__(self, folder, keys):
        self.folder, self.keys, self.port = folder, keys, free_port()
        self.log = folder / "superlink.log"
        self.started = []

    def start(self):
        files = {"cert": "server.pem", "key": "server.key", "ca-cert": "ca.pem"}
        tls = [part for k, f in files.items() for part in (f"--ssl-{k}file", self.keys / f)]
        address = ["--host", "127.0.0.1", "--port", str(self.port)]
        options = [*address, *tls, "--disable-runtime-dependency-installation"]
        process = self._process("superlink", "flower-superlink", *options)
        wait_for_port(self.port, process)

    def join(self, site):
        """Start the SuperNode of a site."""
        options = ["--superlink", f"127.0.0.1:{self.port}", "--host", "127.0.0.1"]
        options += ["--port", str(free_port()), "--node-config", f'site="{site}"']
        options += ["--root-certificates", self.keys / "ca.pem"]
        return self._process(f"supernode-{site.parent.name}", "flower-supernode", *options)

    def run(self, plan, start, output):
        """Run a federation to its end; return what was told of it."""
        connection = {"address": f"127.0.0.1:{self.port}"}
        connection["root-certificates"] = str(self.keys / "ca.pem")
        lines = "".join(f"{toml_pair(*pair)}\n" for pair in connection.items())
        (self.folder / "config.toml").write_text(
            f'[superlink]\ndefault = "loopback"\n[superlink.loopback]\n{lines}'
        )
        files = {"plan": plan, "start": start, "output": output}
        config = " ".join(f'{key}="{path}"' for key, path in files.items())
        done = subprocess.run(
            [BIN / "flwr", "run", APP, "loopback", "--run-config", config, "--stream"],
            env=variables(self.folder),
            capture_output=True,
            text=True,
            timeout=RUN_WITHIN_S,
            check=False,
        )
        return done.stdout + done.stderr

    def _process(self, name, *command):
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [BIN / command[0], *command[1:]],
                env=variables(self.folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.started.append(process)
        return process

    def stop(self):
        for process in reversed(self.started):
            process.terminate()
        for process in self.started:
            try:
                process.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def superlink(folder, keys):
    """Run a SuperLink as long as it is needed, and end all that joined it."""
    folder.mkdir()
    link = Link(folder, keys)
    try:
        link.start()
        yield link
    finally:
        link.stop()
