"""`circpeft lab` listens on this machine only, with a token of its own, whatever the user's configuration says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Settings that open a server, by the class that takes them: today's names, and those of earlier versions.
OPEN = {
    "ServerApp": {
        "ip": "0.0.0.0",
        "token": "",
        "password": "",
        "password_required": False,
        "allow_origin": "*",
        "allow_origin_pat": ".*",
        "allow_credentials": True,
        "allow_root": True,
        "allow_remote_access": True,
        "allow_unauthenticated_access": True,
        "disable_check_xsrf": True,
        "authenticate_prometheus": False,
        "local_hostnames": ["example.org"],
        "trust_xheaders": True,
        "allow_external_kernels": True,
        "extra_static_paths": ["/planted"],
        "tornado_settings": {"headers": {"Access-Control-Allow-Origin": "*"}},
        "sock": "/tmp/planted.sock",
        "port": 1,
    },
    "IdentityProvider": {"token": "", "cookie_options": {"planted": 1}},
    "PasswordIdentityProvider": {"hashed_password": "", "password_required": False},
    "NotebookApp": {"ip": "0.0.0.0", "token": ""},
    "LabApp": {"ip": "0.0.0.0", "allow_origin": "*"},
}
NAMES = ("jupyter_config", "jupyter_server_config", "jupyter_lab_config", "jupyter_notebook_config")
SCRIPT = """
import json, socket, sys
from jupyter_server.serverapp import ServerApp
if sys.argv[1] == "as-jupyter-does":
    app = ServerApp()
    app.load_config_file()
    print(app.ip)
    sys.exit()
from jupyterlab.labapp import LabApp
from circpeft.cli import lab_server
lab_server.ignore_user_config()
app = LabApp.initialize_server(argv=sys.argv[2:])
names = [name for name in json.loads(sys.argv[1])]
found = {name: getattr(app, name) for name in names}
identity = app.identity_provider
print(json.dumps({**found, "listens": sorted({entry[4][0] for entry in socket.getaddrinfo(app.ip, 0)}),
    "token": identity.token, "password": identity.hashed_password, "provider": type(identity).__name__,
    "cookie_options": identity.cookie_options, "origin": app.web_app.settings["allow_origin"],
    "headers": app.web_app.settings.get("headers", {})}, default=str))
"""


@pytest.fixture
def planted(tmp_path) -> dict[str, str]:
    """Plant the open settings in every place that Jupyter reads; return the environment."""
    places = [tmp_path / name for name in ("home/.jupyter", "extra", "chosen", "work")]
    for folder in places:
        folder.mkdir(parents=True)
        for name in NAMES:
            (folder / f"{name}.json").write_text(json.dumps(OPEN))
            lines = [f"c.{kind}.{key} = {value!r}" for kind, values in OPEN.items() for key, value in values.items()]
            (folder / f"{name}.py").write_text("c = get_config()\n" + "\n".join(lines))
    return os.environ | {
        "HOME": str(tmp_path / "home"),
        "JUPYTER_CONFIG_PATH": str(tmp_path / "extra"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "chosen"),
        "JUPYTER_TOKEN": "planted",
        "JUPYTER_SERVER_ALLOW_UNAUTHENTICATED_ACCESS": "true",
    }


def resolved(planted: dict[str, str], tmp_path: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], cwd=tmp_path / "work", env=planted, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_no_configuration_opens_the_server(planted, tmp_path):
    assert resolved(planted, tmp_path, "as-jupyter-does") == "0.0.0.0"  # the planted files do open a plain server
    own = ["--ServerApp.port=0", "--ServerApp.port_retries=0", "--no-browser", "--allow-root"]
    names = [name for name in OPEN["ServerApp"] if name not in ("token", "password", "allow_root", "port")]
    found = json.loads(resolved(planted, tmp_path, json.dumps(names), *own))
    assert set(found["listens"]) <= {"127.0.0.1", "::1"} and found["listens"]
    assert len(found["token"]) == 48 and found["provider"] == "PasswordIdentityProvider"
    assert found["cookie_options"] == {} and found["origin"] == "" and "*" not in str(found["headers"])
    usual = ("password_required", "allow_unauthenticated_access")  # the planted value is Jupyter's own default
    for name in names:
        assert found[name] != OPEN["ServerApp"][name] or name in usual, name


def test_the_own_command_line_decides(planted, tmp_path):
    named = tmp_path / "named.py"
    named.write_text("c = get_config()\nc.ServerApp.allow_origin = 'https://example.org'\n")
    own = ["--ip=127.0.0.2", "--IdentityProvider.token=mine", f"--config={named}", "--no-browser", "--allow-root"]
    own += ["--ServerApp.port=0", "--ServerApp.port_retries=0"]
    found = json.loads(resolved(planted, tmp_path, json.dumps(["ip", "allow_origin"]), *own))
    assert found["listens"] == ["127.0.0.2"] and found["token"] == "mine"
    assert found["allow_origin"] == "https://example.org"
