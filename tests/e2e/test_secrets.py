"""The environment of somebody who trains for real: none of it leads a launch away, or shows in a report."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from pytest_mlflow_check.core.masking import Secrets
from pytest_mlflow_check.core.store import Store
from pytest_mlflow_check.reporting.text import render
from pytest_mlflow_check.rules.policy import Policy
from pytest_mlflow_check.runtime.sandbox.environment import fork_server_environment, launch_environment
from support.builders import finding
from support.projects import LOGGING, MakeProject

SECRET = "s3cr3t/'value'=="


@pytest.mark.parametrize(
    "name",
    [
        *(
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AZURE_STORAGE_CONNECTION_STRING",
            "AZURE_CLIENT_SECRET",
        ),
        *(
            "HF_TOKEN",
            "WANDB_API_KEY",
            "OPENAI_API_KEY",
            "MLFLOW_TRACKING_PASSWORD",
            "DATABRICKS_TOKEN",
            "my_password",
        ),
        *("GITHUB_PAT", "SENTRY_DSN", "APIKEY", "AZURE_STORAGE_ACCESS_KEY", "GOOGLE_CREDENTIALS"),
    ],
)
def test_secrets_by_name(name: str) -> None:
    assert Secrets.among({name: SECRET}).masked(f"<{SECRET}>") == "<***>"


@pytest.mark.parametrize(
    "variables",
    [
        {"PWD": "/home/someone"},
        {"TOKENIZERS_PARALLELISM": "false"},
        {"SEED": "12345678"},
        {"KEYBOARD": "qwertyui"},
        {"HF_TOKENIZER_PATH": "bert-base-uncased", "PRIMARY_KEY": "customer_id", "SORT_KEY": "created_at"},
    ],
)
def test_what_is_none(variables: dict[str, str]) -> None:
    assert Secrets.among(variables).values == ()


def test_the_path_of_a_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text("{}")
    assert Secrets.among({"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json")}).values == ()


def test_the_password_in_a_url() -> None:
    secrets = Secrets.among({"DB": "postgresql://me:pass%2Fword1@host/db", "OTHER": "http://host:8080/a@b"})
    assert secrets.masked("pass%2Fword1 pass/word1 me host 8080/a") == "*** *** me host 8080/a"


def test_a_secret_however_it_is_written() -> None:
    secrets = Secrets.among(
        {"TOKEN": SECRET, "PRIVATE_KEY": "-----BEGIN-----\nabcdefghijkl\nmnopqrst\n-----END-----"}
    )
    for text in (SECRET, repr(SECRET), json.dumps(SECRET), repr({"a": SECRET}), "abcdefghijkl", "mnopqrst"):
        assert secrets.masked(text) != text
        assert "***" in secrets.masked(text)
        assert not any(value in secrets.masked(text) for value in secrets.values)


def test_it_is_masked_before_it_is_cut_short() -> None:
    policy = Policy(secrets=Secrets.among({"HF_TOKEN": "t" * 100}))
    shown = [finding("param-differs", fluent="x" * 10 + "t" * 100, detail="t" * 100, why=f"a {'t' * 100} b")]
    text = render(policy.apply("params", shown).findings)
    assert "tttt" not in text
    assert text.count("***") == 3


def test_nobody_sees_them_by_accident() -> None:
    assert SECRET not in repr(Secrets.among({"TOKEN": SECRET}))


PRODUCTION = {
    "MLFLOW_RUN_ID": "0" * 32,
    "MLFLOW_EXPERIMENT_ID": "7",
    "MLFLOW_EXPERIMENT_NAME": "production",
    "MLFLOW_TRACKING_TOKEN": "token-of-production",
    "MLFLOW_TRACKING_USERNAME": "me",
    "MLFLOW_TRACKING_PASSWORD": "password-of-production",
    "DATABRICKS_TOKEN": "databricks-of-production",
    "AWS_SECRET_ACCESS_KEY": "aws-of-production",
    "HF_TOKEN": "hf-of-production",
}


class Production(ThreadingHTTPServer):
    """A server on this machine in the place of the real one; it keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def handle(self) -> None:
                # A connection is too much, whatever is said on it.
                server.asked.append(repr(self.client_address))
                super().handle()

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

            def do_GET(self) -> None:
                self.send_error(418)

            do_POST = do_GET

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Production]:
    """The environment of somebody who trains for real, with files in a home directory that MLflow finds."""
    with Production() as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        home = tmp_path / "home"
        (home / ".mlflow").mkdir(parents=True)
        (home / ".mlflow" / "credentials").write_text("[mlflow]\nmlflow_tracking_username = me\n")
        (home / ".databrickscfg").write_text(f"[DEFAULT]\nhost = {server.uri}\ntoken = t\n")
        (home / ".netrc").write_text("machine 127.0.0.1 login me password netrc-of-production\n")
        to = dict.fromkeys(
            [
                *("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_S3_ENDPOINT_URL", "DATABRICKS_HOST"),
                *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "MLFLOW_GATEWAY_URI"),
            ],
            server.uri,
        )
        for name, value in {**PRODUCTION, **to, "HOME": str(home)}.items():
            monkeypatch.setenv(name, value)
        yield server
        server.shutdown()


def test_the_server_would_notice(production: Production) -> None:
    import urllib.request

    with pytest.raises(OSError, match="418"):
        urllib.request.urlopen(production.uri)
    assert len(production.asked) == 1


def test_no_variable_leads_there(production: Production, tmp_path: Path) -> None:
    for kind in ("file", "sqlite"):
        env = launch_environment(Store(kind, tmp_path / "s"), root=tmp_path / "a", copy=tmp_path / "b")
        assert [name for name, value in env.items() if production.uri in value] == []
    env = fork_server_environment([tmp_path])
    assert [name for name, value in env.items() if production.uri in value or name == "MLFLOW_RUN_ID"] == []


EVERYTHING = (
    LOGGING
    + """
import json, sys
(run / "params").mkdir()
(run / "params" / "environment").write_text(os.environ["AWS_SECRET_ACCESS_KEY"] + os.urandom(4).hex())
(run / "params" / os.environ["HF_TOKEN"]).write_text("1")
for name in sorted(os.environ):
    if "MLFLOW" in name or "TOKEN" in name or "AWS" in name:
        print(repr({name: os.environ[name]}), file=sys.stderr)
raise RuntimeError(json.dumps(os.environ["HF_TOKEN"]))
"""
)


def test_a_launch_that_tells_its_whole_environment(
    pytester: pytest.Pytester, make_project: MakeProject, production: Production
) -> None:
    make_project(files={"train.py": EVERYTHING})
    options = ["--mlflow-project=proj", "--mlflow-entry-point=train.py", "--mlflow-launch=fluent"]
    result = pytester.runpytest(*options, "-vv", "-rA", "--junitxml=junit.xml", "-p", "no:cacheprovider")
    shown = result.stdout.str() + result.stderr.str() + (pytester.path / "junit.xml").read_text()
    assert "AWS_SECRET_ACCESS_KEY" in shown
    assert [name for name, value in PRODUCTION.items() if "of-production" in value and value in shown] == []
    assert production.uri not in shown
    assert production.asked == []


AT_WORK = {
    "DB_PASS": "Tr0ub4dor-and-3",
    "MYSQL_PWD": "hunter2",
    "HF_AUTH": "auth-of-somebody-1",
    "SLACK_WEBHOOK_URL": "https://hooks.example.org/T0/B0/of-somebody",
    "CONFIG": "ghp_" + "a1B2" * 9,
    "TEAM": "vision-anna",
}
"""Secrets under names that people use, one that is known by its look, and what is none."""

WRITTEN = (
    LOGGING
    + """
import base64, sys
(run / "metrics" / "loss").write_text("1 0.5 0\\n2 0.25 1\\n")
(run / "params").mkdir()
(run / "tags").mkdir()
for name in ("DB_PASS", "MYSQL_PWD", "HF_AUTH", "SLACK_WEBHOOK_URL", "CONFIG", "TEAM"):
    value = os.environ[name]
    (run / "params" / f"of_{name.lower()}").write_text(value)
    forms = f"{value} {base64.b64encode(value.encode()).decode()} {value.upper()}"
    (run / "tags" / f"t_{name.lower()}").write_text(forms)
    print(name, forms, base64.b64encode(f"user:{value}".encode()).decode())
(run / "params" / "max_tokens").write_text("512")
(run / "params" / "db_password").write_text("abc")
"""
)


def told(pytester: pytest.Pytester, result: pytest.RunResult) -> dict[str, str]:
    """All that a session says, by where."""
    files = {file.name: file.read_text() for file in pytester.path.glob("said.*")}
    return {"console": result.stdout.str() + result.stderr.str(), **files}


def leaks(surfaces: dict[str, str]) -> list[tuple[str, str]]:
    """What of the secrets stands where; `hunter2` is too short to be known in capitals or base64."""
    forms = {
        name: [value, value.upper(), base64.b64encode(value.encode()).decode()]
        for name, value in AT_WORK.items()
        if name not in ("TEAM", "MYSQL_PWD")
    }
    forms["MYSQL_PWD"] = [AT_WORK["MYSQL_PWD"]]
    return [
        (where, name)
        for where, text in surfaces.items()
        for name, written in forms.items()
        if any(form in text for form in written)
    ]


@pytest.mark.parametrize(
    "end", ["", "raise RuntimeError(os.environ['DB_PASS'] + ' of ' + os.environ['MYSQL_PWD'])"]
)
def test_no_surface_shows_a_secret(
    pytester: pytest.Pytester, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    make_project(files={"train.py": WRITTEN + end})
    for name, value in {**AT_WORK, "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(pytester.path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CI", raising=False)
    result = pytester.runpytest(
        "--mlflow-project=proj",
        "--mlflow-entry-point=train.py",
        "--mlflow-launch=fluent",
        "-vv",
        "-rA",
        "--junitxml=said.xml",
        *(f"--mlflow-report=said.{suffix}" for suffix in ("html", "md", "json")),
    )
    surfaces = told(pytester, result)
    assert {"console", "said.xml", "said.html", "said.md", "said.json"} == set(surfaces)
    assert leaks(surfaces) == []
    if end:
        assert "::error" in surfaces["console"]
        assert "RuntimeError: *** of ***" in surfaces["console"]
        return
    (run,) = json.loads(surfaces["said.json"])["projects"][0]["cases"][0]["runs"]
    params = {entry["name"]: entry["fluent"] for entry in run["params"]}
    assert params["of_db_pass"] == params["of_hf_auth"] == params["db_password"] == "***"
    # What is no secret is shown.
    assert (params["max_tokens"], params["of_team"]) == ("512", "vision-anna")


def test_a_contract_holds_no_value_of_the_environment(
    pytester: pytest.Pytester, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = """
        entry_point = "train.py"
        launch = "fluent"
        [[case]]
        id = "one"
        env = { EPOCHS = "3", SEED = "0" }
    """
    epochs = """
(run / "params" / "epochs").write_text(os.environ["EPOCHS"])
(run / "params" / "seed").write_text(os.environ["SEED"])
"""
    make_project(files={"train.py": WRITTEN + epochs, "mlflow-check.toml": settings})
    for name, value in {**AT_WORK, "SEED": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CI", raising=False)
    result = pytester.runpytest("--mlflow-project=proj", "--mlflow-update")
    assert result.ret == 0, result.stdout.str()
    contract = (pytester.path / "proj" / "mlflow-contract.yaml").read_text()
    assert leaks({"contract": contract, "console": result.stdout.str()}) == []
    assert AT_WORK["TEAM"] not in contract
    held = [line.strip() for line in contract.splitlines() if '"' in line.partition(":")[2]]
    assert held == ['epochs: "3"', 'max_tokens: "512"', 'seed: "0"']
    # Another environment fits it as well.
    monkeypatch.setenv("TEAM", "audio-bob")
    monkeypatch.setenv("DB_PASS", "another-one-1")
    assert pytester.runpytest("--mlflow-project=proj").ret == 0


QUIET = (
    LOGGING
    + """
(run / "metrics" / "loss").write_text("1 0.5 0\\n2 0.25 1\\n")
print({told})
"""
)


@pytest.mark.parametrize(("told", "kept"), [("'nothing'", 1), ("os.environ['HF_TOKEN']", 0)])
def test_a_launch_that_holds_a_secret_is_not_stored(
    pytester: pytest.Pytester, make_project: MakeProject, production: Production, told: str, kept: int
) -> None:
    make_project(files={"train.py": QUIET.replace("{told}", told)})
    options = [
        "--mlflow-project=proj",
        "--mlflow-entry-point=train.py",
        "--mlflow-launch=fluent",
        "--mlflow-cache",
    ]
    result = pytester.runpytest(*options)
    assert result.ret == 0, result.stdout.str()
    launches = [*(pytester.path / ".pytest_cache").rglob("launch.json")]
    assert len(launches) == kept
    held = [
        file
        for file in (pytester.path / ".pytest_cache").rglob("*")
        if file.is_file() and b"of-production" in file.read_bytes()
    ]
    assert held == []


def test_the_fixture_leads_away_and_back(pytester: pytest.Pytester, production: Production) -> None:
    pytester.makepyfile(
        """
        import os

        before = dict(os.environ)

        def test_inside(mlflow_store):
            import mlflow

            with mlflow.start_run() as run:
                mlflow.log_metric("m", 1, step=1)
            assert mlflow_store.run.run_id == run.info.run_id
            withheld = [os.environ[name] for name in os.environ if "MLFLOW" in name or "DATABRICKS" in name]
            assert not any("of-production" in value for value in withheld)

        def test_afterwards():
            import mlflow

            for name in ("PYTEST_CURRENT_TEST",):
                before.pop(name, None)
            assert {name: os.environ.get(name) for name in before} == before
            assert mlflow.get_tracking_uri() == os.environ["MLFLOW_TRACKING_URI"]
        """
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=pytester.path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert production.asked == []


LOGGING_WITH_MLFLOW = """
import mlflow

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input

with mlflow.start_run():
    mlflow.log_param("a", 1)
    if hasattr(mlflow, "trace"):
        mlflow.trace(lambda: 1)()
    mlflow.pyfunc.log_model("model", python_model=Model())
"""


@pytest.mark.launch
@pytest.mark.parametrize("store", ["file", pytest.param("sqlite", marks=pytest.mark.heavy)])
def test_neither_launch_nor_validation_goes_there(
    pytester: pytest.Pytester, make_project: MakeProject, production: Production, store: str
) -> None:
    make_project(
        files={
            "MLproject": "entry_points: {main: {command: python train.py}}",
            "train.py": LOGGING_WITH_MLFLOW,
        }
    )
    result = pytester.runpytest_subprocess("--mlflow-project=proj", f"--mlflow-store={store}", "-v")
    assert result.ret in (0, 1)
    result.stdout.fnmatch_lines(["*main::launches PASSED*", "*main::models*"])
    assert production.asked == []
