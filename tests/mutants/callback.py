"""Mutants of the callback trainer, whose run is started without `with`. No model, no library."""

from __future__ import annotations

from mutants.mutant import Edit, Mutant, artifacts, launches, metrics, params

BASE = "callback"
BOTH = "fluent and mlflow run"

START = "        self.run = mlflow.start_run()\n"
LOG_PARAMS = "mlflow.log_params({name: value for name, value in params.items() if name not in logged})\n"
LOG_METRICS = "        mlflow.log_metrics(logs, step=epoch)\n"
LOG_STATE = '            mlflow.log_dict(state, "state.json")\n'
FINAL = '            mlflow.log_metric("final_loss", state["loss"])\n'
END = "        mlflow.end_run(status)\n"
IMPORT = "import mlflow\nfrom trainer import Callback\n"
MAIN = "    Trainer(vars(args), MLflowCallback()).train()\n"
STEP = '        self.slope -= self.params["lr"] * gradient\n'
EPOCH = "                logs = self.fit_once()\n                self.callback.on_epoch_end(epoch, logs)\n"
CALLBACKS = "callbacks.py"
STARTED = f"{CALLBACKS}: mlflow.start_run()"

TRAIN = (
    '        status = "FAILED"\n'
    "        try:\n"
    '            self.callback.on_train_begin({**self.params, "optimizer": "sgd"})\n'
    '            for epoch in range(self.params["epochs"]):\n'
    f"{EPOCH}"
    '            status = "FINISHED"\n'
    "        finally:\n"
    '            self.callback.on_train_end({"slope": self.slope, "loss": self.loss}, status)\n'
)
CARELESS_TRAIN = (
    '        self.callback.on_train_begin({**self.params, "optimizer": "sgd"})\n'
    '        for epoch in range(self.params["epochs"]):\n'
    "            self.callback.on_epoch_end(epoch, self.fit_once())\n"
    '        self.callback.on_train_end({"slope": self.slope, "loss": self.loss}, "FINISHED")\n'
)


def callbacks(old: str, new: str) -> Edit:
    return Edit(CALLBACKS, old, new)


def importing(module: str) -> Edit:
    return callbacks(IMPORT, f"import {module}\n\n{IMPORT}")


def trainer(old: str, new: str) -> Edit:
    return Edit("trainer.py", old, new)


def train(old: str, new: str) -> Edit:
    return Edit("train.py", old, new)


def mlproject(old: str, new: str) -> Edit:
    return Edit("MLproject", old, new)


# One more parameter of the command line: in the MLproject, in its command, in the code.
def argument(name: str, declared: str, kind: str) -> tuple[Edit, ...]:
    return (
        mlproject(
            "      lr: {type: float, default: 0.1}\n",
            f"      lr: {{type: float, default: 0.1}}\n      {declared}  # <- here\n",
        ),
        mlproject("--lr {lr}", f"--lr {{lr}} --{name} {{{name}}}"),
        train(
            "    args = parser",
            f'    parser.add_argument("--{name}", type={kind})\n    args = parser',
        ),
    )


# A training that takes about 2.5 s of real work, and 25 epochs.
SLOW = (
    mlproject("default: 4", "default: 25"),
    trainer("POINTS = [", "import time\n\nPOINTS = ["),
    trainer(
        "    def fit_once(self):\n",
        "    def fit_once(self):\n"
        "        busy_until = time.process_time() + 0.1\n"
        "        while time.process_time() < busy_until:\n"
        "            sum(x * y for x, y in POINTS)\n",
    ),
)

LAUNCHES = (
    Mutant(
        "callback-run-never-ended",
        BASE,
        (callbacks(END, ""),),
        expected=(launches("run-closed-at-exit", "run", STARTED),),
    ),
    Mutant(
        "callback-run-started-by-first-param",
        BASE,
        (
            callbacks(
                START
                + "        self.client = mlflow.MlflowClient()\n"
                + "        logged = self.client.get_run(self.run.info.run_id).data.params\n        "
                + LOG_PARAMS,
                "        mlflow.log_params(params)  # <- here\n",
            ),
            callbacks(END, ""),
        ),
        expected=(launches("run-closed-at-exit", "run", CALLBACKS),),
        launch="fluent",
    ),
    Mutant(
        "callback-crash-says-finished",
        BASE,
        (
            trainer(TRAIN, CARELESS_TRAIN),
            trainer(STEP, '        raise OverflowError("the gradient exploded")  # <- here\n'),
        ),
        expected=(
            launches("failed-but-finished", "run", STARTED),
            launches("launch-failed", BOTH, "trainer.py"),
        ),
    ),
    Mutant(
        "callback-never-passed",
        BASE,
        (train("Trainer(vars(args), MLflowCallback())", "Trainer(vars(args))"),),
        expected=(launches("no-run-logged", BOTH),),
    ),
    Mutant(
        "callback-only-under-mlflow-run",
        BASE,
        (
            train("import argparse\n", "import argparse\nimport os\n"),
            train(
                MAIN,
                '    callback = MLflowCallback() if "MLFLOW_RUN_ID" in os.environ else None\n'
                "    Trainer(vars(args), callback).train()\n",
            ),
        ),
        expected=(launches("no-run-logged", "fluent"),),
    ),
    Mutant(
        "callback-not-under-mlflow-run",
        BASE,
        (
            train("import argparse\n", "import argparse\nimport os\n"),
            train(
                MAIN,
                '    callback = None if os.environ.get("MLFLOW_RUN_ID") else MLflowCallback()\n'
                "    Trainer(vars(args), callback).train()\n",
            ),
        ),
        expected=(launches("run-empty", "mlflow run"),),
    ),
    Mutant(
        "callback-except-pass",
        BASE,
        (
            callbacks(
                "        " + LOG_PARAMS,
                '        rate = "%.3f" % params["lr"]\n        mlflow.log_params({**params, "lr": rate})\n',
            ),
            train(MAIN, f"    try:\n    {MAIN}    except Exception:\n        pass\n"),
        ),
        expected=(launches("run-empty", "mlflow run", STARTED),),
    ),
    Mutant(
        "callback-os-exit",
        BASE,
        (importing("os"), callbacks(END, "        os._exit(0)\n")),
        expected=(launches("run-left-running", "run", STARTED),),
    ),
    Mutant(
        "callback-killed",
        BASE,
        (
            trainer("POINTS = [", "import os\nimport signal\n\nPOINTS = ["),
            trainer(STEP, "        os.kill(os.getpid(), signal.SIGKILL)\n"),
        ),
        # Nobody knows where: a killed process says nothing.
        expected=(launches("launch-failed", BOTH),),
    ),
    Mutant(
        "callback-run-of-the-client",
        BASE,
        (
            callbacks(
                START,
                '        run = mlflow.MlflowClient().create_run("0")  # <- here\n'
                "        self.run = mlflow.start_run(run_id=run.info.run_id)\n",
            ),
        ),
        # The run that mlflow run made stays as it was.
        expected=(launches("run-missing", "run 1", CALLBACKS, unseen="run 1"),),
    ),
    Mutant(
        "callback-set-experiment",
        BASE,
        (callbacks(START, f'        mlflow.set_experiment("line")  # <- here\n{START}'),),
        expected=(launches("experiment-hardcoded", "line", CALLBACKS, unseen="set_experiment"),),
    ),
    Mutant(
        "callback-set-experiment-at-import",
        BASE,
        (
            train("from callbacks", "import mlflow\nfrom callbacks"),
            train("\n\ndef main", '\nmlflow.set_experiment("line fits")  # <- here\n\n\ndef main'),
        ),
        expected=(launches("experiment-hardcoded", "line fits", "train.py", unseen="set_experiment"),),
    ),
    Mutant(
        "callback-tracking-uri",
        BASE,
        (callbacks(START, f'        mlflow.set_tracking_uri("http://127.0.0.1:9")  # <- here\n{START}'),),
        expected=(launches("tracking-uri-hardcoded", "http://127.0.0.1:9", CALLBACKS),),
    ),
    Mutant(
        "callback-unobserved",
        BASE,
        # Without `site`, for a quick start; the packages are found later.
        (mlproject("python train.py", "python -S start.py"),),
        files={
            "start.py": "import glob, os, sys\n\n"
            "prefix = os.path.dirname(os.path.dirname(sys.executable))\n"
            'sys.path += glob.glob(os.path.join(prefix, "lib/python*/site-packages"))\n'
            "import train\n\n"
            "train.main()\n",
        },
        # An observer that is late names the process; else it is the file.
        expected=(launches("launch-unobserved", "*"),),
        launch="fluent",
    ),
    Mutant(
        "callback-tracking-uri-with-password",
        BASE,
        (
            callbacks(
                START,
                '        mlflow.set_tracking_uri("http://ann:hunter2@127.0.0.1:9/ml")  # <- here\n' + START,
            ),
        ),
        # Whatever stands there instead of the password, it is shorter than the rest.
        expected=(launches("tracking-uri-hardcoded", "http://*@127.0.0.1:9/ml", CALLBACKS),),
        launch="fluent",
    ),
    Mutant(
        "callback-tracking-uri-file",
        BASE,
        (
            train("from callbacks", "import mlflow\nfrom callbacks"),
            train(
                "    args = parser",
                '    mlflow.set_tracking_uri("file:./mlruns")  # <- here\n    args = parser',
            ),
        ),
        expected=(launches("tracking-uri-hardcoded", "file:./mlruns", "train.py"),),
        launch="fluent",
    ),
    Mutant(
        "callback-tracking-uri-environ",
        BASE,
        (
            train("import argparse\n", "import argparse\nimport os\n"),
            train(
                "\n\ndef main",
                '\nos.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"  # <- here\n\n\ndef main',
            ),
        ),
        expected=(launches("tracking-uri-hardcoded", "http://127.0.0.1:9", "train.py"),),
    ),
    Mutant(
        "callback-tracking-uri-dotenv",
        BASE,
        (
            train("import argparse\n", "import argparse\nimport os\nfrom pathlib import Path\n"),
            train(
                "\n\ndef main",
                '\nfor line in Path(".env").read_text().splitlines():\n'
                '    name, _, value = line.partition("=")\n'
                "    os.environ[name] = value\n\n\ndef main",
            ),
        ),
        files={".env": "MLFLOW_TRACKING_URI=http://127.0.0.1:9/team\nUSE_COLOR=1\n"},
        expected=(launches("tracking-uri-hardcoded", "http://127.0.0.1:9/team"),),
        launch="fluent",
    ),
    Mutant(
        "callback-registry-uri",
        BASE,
        (callbacks(START, f'        mlflow.set_registry_uri("databricks-uc")  # <- here\n{START}'),),
        expected=(launches("tracking-uri-hardcoded", "databricks-uc", CALLBACKS),),
        launch="fluent",
    ),
    Mutant(
        "callback-run-already-active",
        BASE,
        (
            train("from callbacks", "import mlflow\nfrom callbacks"),
            train(MAIN, f"    with mlflow.start_run():\n    {MAIN}"),
        ),
        expected=(launches("launch-failed", BOTH, STARTED, says="another run was active"),),
    ),
    Mutant(
        "callback-unknown-experiment",
        BASE,
        (callbacks("start_run()", 'start_run(experiment_id="17")  # <- here'),),
        # Under mlflow run the run is there already, and the experiment isn't asked for.
        expected=(launches("launch-failed", "fluent", CALLBACKS, says="experiment with the ID 17"),),
    ),
    Mutant(
        "callback-client-without-list",
        BASE,
        (
            train("from callbacks", "import mlflow\nfrom callbacks"),
            train(
                "    args = parser",
                "    mlflow.MlflowClient().list_experiments()  # <- here\n    args = parser",
            ),
        ),
        expected=(
            launches("launch-failed", "fluent", "train.py", says="has no MlflowClient.list_experiments"),
        ),
        launch="fluent",
    ),
    Mutant(
        "callback-server-not-there",
        BASE,
        (
            train("from callbacks", "import mlflow\nfrom callbacks"),
            train(
                "\n\ndef main",
                '\nURL = "http://127.0.0.1:9/api/2.0/mlflow-artifacts/artifacts/slope.txt"\n\n\ndef main',
            ),
            train(
                "    args = parser",
                "    mlflow.artifacts.load_text(URL)  # <- here\n    args = parser",
            ),
        ),
        expected=(
            launches("tracking-uri-hardcoded", "http://127.0.0.1:9/*", "train.py", says="was refused"),
        ),
        launch="fluent",
    ),
    Mutant(
        "callback-exit-code",
        BASE,
        (train(MAIN, MAIN + "    raise SystemExit(3)\n"),),
        expected=(launches("launch-failed", "fluent"),),
        launch="fluent",
    ),
    Mutant(
        "callback-param-rewritten",
        BASE,
        (callbacks(LOG_PARAMS, "mlflow.log_params(params)  # <- here\n"),),
        files={"mlflow-check.toml": '[[case]]\nparams = { lr = "1" }\n'},
        expected=(launches("param-rewritten", "lr", CALLBACKS),),
    ),
    Mutant(
        "mlproject-tab",
        BASE,
        (mlproject("      lr:", "\tlr:"),),
        error="mlproject-invalid",
    ),
    Mutant(
        "mlproject-no-command",
        BASE,
        (mlproject("    command: ", "    comand: "),),
        error="mlproject-invalid",
    ),
    Mutant(
        "mlproject-two-environments",
        BASE,
        (mlproject("name: callback-trainer\n", "conda_env: conda.yaml\npython_env: python_env.yaml\n"),),
        files={"conda.yaml": "name: x\n", "python_env.yaml": "python: 3.11\n"},
        error="mlproject-invalid",
    ),
    Mutant(
        "mlproject-placeholder-mistyped",
        BASE,
        (mlproject("--epochs {epochs}", "--epochs {epoch}"),),
        error="mlproject-undeclared-placeholder",
    ),
    Mutant(
        "mlproject-null",
        BASE,
        (
            mlproject(
                "      lr: {type: float, default: 0.1}", "      lr: {type: float, default: null}  # <- here"
            ),
        ),
        expected=(launches("mlproject-null-default", "lr", "MLproject"),),
    ),
    Mutant(
        "mlproject-null-with-a-value",
        BASE,
        (mlproject("      lr: {type: float, default: 0.1}", "      lr: {default: ~}  # <- here"),),
        files={"mlflow-check.toml": "params = { lr = 0.1 }\n"},
        expected=(launches("mlproject-null-default", "lr", "MLproject"),),
    ),
    Mutant(
        "mlproject-parameter-not-passed-on",
        BASE,
        (
            mlproject("default: 0.1}\n", "default: 0.1}  # <- here\n"),
            mlproject(" --lr {lr}", ""),
        ),
        expected=(launches("mlproject-unused-parameter", "lr", "MLproject"),),
    ),
    Mutant(
        "mlproject-script-mistyped",
        BASE,
        (mlproject("python train.py", "python trian.py"), mlproject('--lr {lr}"', '--lr {lr}"  # <- here')),
        expected=(launches("mlproject-missing-file", "trian.py", "MLproject"),),
    ),
    Mutant(
        "mlproject-option-mistyped",
        BASE,
        (mlproject('--lr {lr}"', '--l_r {lr}"  # <- here'),),
        expected=(launches("mlproject-unknown-option", "--l_r", "MLproject"),),
    ),
    Mutant(
        "mlproject-path-of-one-machine",
        BASE,
        (
            mlproject("python train.py", "DATA=/home/ann/data python train.py"),
            mlproject('--lr {lr}"', '--lr {lr}"  # <- here'),
        ),
        expected=(launches("mlproject-absolute-path", "/home/ann/data", "MLproject"),),
    ),
    Mutant(
        "mlproject-conda-as-python-env",
        BASE,
        (mlproject("name: callback-trainer\n", "python_env: conda.yaml  # <- here\n"),),
        files={"conda.yaml": "name: x\ndependencies: [python=3.11]\n"},
        expected=(launches("mlproject-wrong-environment", "conda.yaml", "MLproject"),),
    ),
    Mutant(
        "mlproject-key-mistyped",
        BASE,
        (mlproject("name: callback-trainer\n", "conda-env: conda.yaml  # <- here\n"),),
        expected=(launches("mlproject-ignored-key", "conda-env", "MLproject"),),
    ),
    Mutant(
        "mlproject-docker",
        BASE,
        (mlproject("name: callback-trainer\n", "docker_env:  # <- here\n  image: python:3.11-slim\n"),),
        expected=(launches("needs-docker", "*", "MLproject"),),
    ),
    Mutant(
        "mlproject-command-wants-run-id",
        BASE,
        (
            mlproject('--lr {lr}"', '--lr {lr} --run-id $MLFLOW_RUN_ID"  # <- here'),
            train("    args = parser", '    parser.add_argument("--run-id")\n    args = parser'),
            train("Trainer(vars(args)", 'Trainer({"lr": args.lr, "epochs": args.epochs}'),
        ),
        expected=(launches("needs-run-id", "MLFLOW_RUN_ID", "MLproject"),),
    ),
)

PARAMS = (
    Mutant(
        "callback-params-logged-by-a-thread",
        BASE,
        (
            callbacks(LOG_PARAMS, "mlflow.log_params(params, synchronous=False)  # <- here\n"),
            mlproject("default: 0.1", "default: 1e-1"),
        ),
        expected=(launches("async-logging-failed", "lr", CALLBACKS),),
    ),
    Mutant(
        "callback-params-left-to-mlflow-run",
        BASE,
        (callbacks(LOG_PARAMS, 'mlflow.log_param("optimizer", params["optimizer"])\n'),),
        expected=tuple(params("param-missing-in-fluent", name, STARTED) for name in ("epochs", "lr")),
    ),
    Mutant(
        "callback-params-only-in-fluent",
        BASE,
        (
            callbacks(
                "        " + LOG_PARAMS,
                "        if not logged:  # not under mlflow run\n"
                "            mlflow.log_params(params)  # <- here\n",
            ),
        ),
        expected=(params("param-missing-in-mlflow-run", "optimizer", CALLBACKS),),
    ),
    Mutant(
        "callback-param-in-another-notation",
        BASE,
        (
            mlproject("lr: {type: float, default: 0.1}", "lr: {type: float, default: 1e-1}"),
            callbacks(LOG_PARAMS, LOG_PARAMS.rstrip("\n") + "  # <- here\n"),
        ),
        expected=(params("param-differs", "lr", CALLBACKS),),
    ),
    Mutant(
        "callback-param-with-a-space",
        BASE,
        argument("note", 'note: {type: string, default: "first try"}', "str"),
        expected=(params("param-quoted", "note", "MLproject"),),
    ),
    Mutant(
        "callback-param-with-a-dash",
        BASE,
        argument("weight-decay", "weight-decay: {type: float, default: 0.01}", "float"),
        expected=(params("param-duplicated", "weight-decay", "MLproject"),),
    ),
    Mutant(
        "callback-param-too-long",
        BASE,
        (
            callbacks(
                "        " + LOG_PARAMS,
                "        "
                + LOG_PARAMS
                + '        mlflow.log_param("config", str(list(range(2000))))  # <- here\n',
            ),
        ),
        expected=(params("param-too-long", "config", CALLBACKS),),
    ),
    Mutant(
        "callback-param-per-epoch",
        BASE,
        (callbacks(LOG_METRICS, LOG_METRICS + '        mlflow.log_param(f"lr_{epoch}", 0.1)  # <- here\n'),),
        expected=(params("param-changes-per-step", "lr_*", CALLBACKS),),
    ),
)

WITHOUT_STEP = tuple(metrics("metric-without-step", name, CALLBACKS) for name in ("loss", "gradient"))

METRICS = (
    Mutant(
        "callback-metrics-without-step",
        BASE,
        (callbacks(LOG_METRICS, "        mlflow.log_metrics(logs)  # <- here\n"),),
        expected=WITHOUT_STEP,
    ),
    Mutant(
        "callback-one-metric-without-step",
        BASE,
        (
            callbacks(
                LOG_METRICS,
                '        mlflow.log_metric("loss", logs["loss"], step=epoch)\n'
                '        mlflow.log_metric("gradient", logs["gradient"])  # <- here\n',
            ),
        ),
        expected=(metrics("metric-without-step", "gradient", CALLBACKS),),
        launch="fluent",
    ),
    Mutant(
        "callback-step-given-as-timestamp",
        BASE,
        (
            callbacks(
                LOG_METRICS,
                "        for name, value in logs.items():\n"
                "            self.client.log_metric(self.run.info.run_id, name, value, epoch)  # <- here\n",
            ),
        ),
        expected=WITHOUT_STEP,
        launch="fluent",
    ),
    Mutant(
        "callback-batch-at-step-0",
        BASE,
        (
            importing("time"),
            callbacks(
                LOG_METRICS,
                "        now = int(time.time() * 1000)\n"
                "        points = [mlflow.entities.Metric(name, logs[name], now, 0) for name in logs]\n"
                "        self.client.log_batch(self.run.info.run_id, metrics=points)  # <- here\n",
            ),
        ),
        expected=WITHOUT_STEP,
        launch="fluent",
    ),
    Mutant(
        "callback-batches-at-the-epoch",
        BASE,
        (
            trainer(
                EPOCH,
                "                for _batch in range(2):\n"
                "                    logs = self.fit_once()\n"
                "                    self.callback.on_epoch_end(epoch, logs)\n",
            ),
        ),
        expected=tuple(
            metrics("metric-step-repeated", name, f"{CALLBACKS}: step=epoch") for name in ("loss", "gradient")
        ),
    ),
    Mutant(
        "callback-diverges",
        BASE,
        (
            callbacks(LOG_METRICS, LOG_METRICS.rstrip("\n") + "  # <- here\n"),
            trainer(STEP, "        self.slope -= 1e160 * gradient\n"),
        ),
        expected=tuple(metrics("metric-not-finite", name, CALLBACKS) for name in ("loss", "gradient")),
    ),
    Mutant(
        "callback-turns-nan",
        BASE,
        (
            callbacks(
                LOG_METRICS,
                LOG_METRICS + '        mlflow.log_metric("ratio", self.ratio(epoch), epoch)  # <- here\n',
            ),
            callbacks(
                "    def on_train_end",
                "    def ratio(self, epoch):\n"
                '        return 1.0 if epoch < 2 else float("nan")\n\n    def on_train_end',
            ),
        ),
        expected=(metrics("metric-not-finite", "ratio", CALLBACKS),),
        launch="fluent",
    ),
    Mutant(
        "callback-history-at-the-end",
        BASE,
        (
            *SLOW,
            callbacks(LOG_METRICS, "        self.history = [*getattr(self, 'history', []), logs]\n"),
            callbacks(
                FINAL,
                "            for epoch, logs in enumerate(self.history):\n"
                "                mlflow.log_metrics(logs, step=epoch)  # <- here\n" + FINAL,
            ),
        ),
        expected=tuple(metrics("metric-all-at-end", name, CALLBACKS) for name in ("loss", "gradient")),
    ),
    Mutant(
        "callback-no-seed",
        BASE,
        (
            trainer("POINTS = [", "import random\n\nPOINTS = ["),
            trainer("self.slope = 0.0", "self.slope = random.random()"),
            callbacks(LOG_METRICS, LOG_METRICS.rstrip("\n") + "  # <- here\n"),
        ),
        expected=(
            metrics("metric-varies", "loss", CALLBACKS),
            metrics("metric-varies", "gradient", CALLBACKS),
            metrics("metric-varies", "final_loss", f"{CALLBACKS}: final_loss"),
        ),
    ),
    Mutant(
        "callback-other-start-under-mlflow-run",
        BASE,
        (
            trainer("POINTS = [", "import os\n\nPOINTS = ["),
            trainer("self.slope = 0.0", 'self.slope = 0.5 if "MLFLOW_RUN_ID" in os.environ else 0.0'),
            callbacks(LOG_METRICS, LOG_METRICS.rstrip("\n") + "  # <- here\n"),
        ),
        expected=(
            metrics("metric-values-differ", "loss", CALLBACKS),
            metrics("metric-values-differ", "gradient", CALLBACKS),
            metrics("metric-values-differ", "final_loss", f"{CALLBACKS}: final_loss"),
        ),
    ),
    Mutant(
        "callback-time-as-step",
        BASE,
        (
            importing("time"),
            callbacks(
                LOG_METRICS, "        mlflow.log_metrics(logs, step=time.time_ns() // 1000)  # <- here\n"
            ),
        ),
        expected=tuple(metrics("metric-varies", name, CALLBACKS) for name in ("loss", "gradient")),
    ),
    Mutant(
        "callback-every-other-epoch-in-fluent",
        BASE,
        (
            importing("os"),
            callbacks(
                START,
                '        self.every = 1 if "MLFLOW_RUN_ID" in os.environ else 2\n' + START,
            ),
            callbacks(
                LOG_METRICS,
                "        if epoch % self.every == 0:\n"
                "            mlflow.log_metrics(logs, step=epoch)  # <- here\n",
            ),
        ),
        expected=tuple(metrics("metric-points-differ", name, CALLBACKS) for name in ("loss", "gradient")),
    ),
    Mutant(
        "callback-metric-only-under-mlflow-run",
        BASE,
        (
            importing("os"),
            callbacks(START, f'        self.by_mlflow = "MLFLOW_RUN_ID" in os.environ\n{START}'),
            callbacks(
                FINAL,
                "            if self.by_mlflow:\n"
                '                mlflow.log_metric("final_loss", state["loss"])  # <- here\n',
            ),
        ),
        expected=(metrics("metric-missing", "final_loss", CALLBACKS),),
    ),
)

ARTIFACTS = (
    Mutant(
        "callback-run-id-in-a-file-name",
        BASE,
        (
            callbacks(
                LOG_STATE,
                '            mlflow.log_dict(state, f"state-{self.run.info.run_id}.json")  # <- here\n',
            ),
        ),
        # A name with an id in it is another one each time, by its kind.
    ),
    Mutant(
        "callback-date-in-a-file",
        BASE,
        (
            importing("time"),
            callbacks(
                LOG_STATE,
                '            mlflow.log_dict({**state, "at": time.time()}, "state.json")  # <- here\n',
            ),
        ),
        files={"mlflow-check.toml": 'artifact_contents = ["*.json"]\n'},
        expected=(artifacts("artifact-varies", "state.json", CALLBACKS),),
    ),
    Mutant(
        "callback-mode-in-a-file",
        BASE,
        (
            importing("os"),
            callbacks(START, f'        self.started = "MLFLOW_RUN_ID" in os.environ\n{START}'),
            callbacks(
                LOG_STATE,
                '            mlflow.log_dict({**state, "by": self.started}, "state.json")  # <- here\n',
            ),
        ),
        files={"mlflow-check.toml": 'artifact_contents = ["*.json"]\n'},
        expected=(artifacts("artifact-content-differs", "state.json", CALLBACKS),),
    ),
    Mutant(
        "callback-pickle",
        BASE,
        (
            importing("pickle"),
            callbacks(
                LOG_STATE,
                '            with open("trained.bin", "wb") as file:\n'
                "                pickle.dump(state, file)\n"
                '            mlflow.log_artifact("trained.bin")  # <- here\n',
            ),
        ),
        expected=(artifacts("model-as-artifact", "trained.bin", CALLBACKS),),
        launch="fluent",
    ),
    Mutant(
        "callback-plots-of-last-week",
        BASE,
        (
            callbacks(IMPORT, f"from pathlib import Path\n\n{IMPORT}"),
            callbacks(
                LOG_STATE,
                '            Path("plots/loss.svg").write_text("<svg/>")\n'
                '            mlflow.log_artifacts("plots")  # <- here\n',
            ),
        ),
        files={"plots/accuracy.svg": "<svg></svg>\n"},
        expected=(artifacts("artifact-stale", "plots/accuracy.svg", CALLBACKS),),
    ),
)

CORRECT = (
    Mutant("callback-correct", BASE),
    Mutant(
        "callback-steps-from-5",
        BASE,
        (callbacks(LOG_METRICS, "        mlflow.log_metrics(logs, step=epoch + 5)\n"),),
        launch="fluent",
    ),
    Mutant(
        "callback-steps-with-gaps",
        BASE,
        (callbacks(LOG_METRICS, "        mlflow.log_metrics(logs, step=epoch * 100)\n"),),
        launch="fluent",
    ),
    Mutant(
        "callback-steps-in-a-batch",
        BASE,
        (
            importing("time"),
            callbacks(
                LOG_METRICS,
                "        now = int(time.time() * 1000)\n"
                "        points = [mlflow.entities.Metric(name, logs[name], now, epoch) for name in logs]\n"
                "        self.client.log_batch(self.run.info.run_id, metrics=points)\n",
            ),
        ),
    ),
    Mutant(
        "callback-nan-between-and-throughout",
        BASE,
        (
            callbacks(
                LOG_METRICS,
                LOG_METRICS
                + '        nan = float("nan")\n'
                + "        recall = nan if epoch == 1 else 0.5\n"
                + '        mlflow.log_metrics({"recall": recall, "auc": nan}, step=epoch)\n',
            ),
        ),
    ),
    Mutant(
        "callback-param-none",
        BASE,
        (trainer('"optimizer": "sgd"', '"optimizer": "sgd", "scheduler": None'),),
    ),
    Mutant(
        "callback-artifact-written-twice",
        BASE,
        (callbacks(LOG_STATE, LOG_STATE * 2),),
    ),
    Mutant(
        "callback-seeded",
        BASE,
        (
            trainer("POINTS = [", "import random\n\nPOINTS = ["),
            trainer("self.slope = 0.0", "self.slope = random.Random(7).random()"),
        ),
    ),
    Mutant(
        "callback-no-metrics-that-epoch",
        BASE,
        (callbacks(LOG_METRICS, "        mlflow.log_metrics(logs if epoch % 2 else {}, step=epoch)\n"),),
    ),
    Mutant(
        "callback-scores-at-step-0",
        BASE,
        (
            callbacks(
                FINAL,
                FINAL
                + '            mlflow.log_metrics({"accuracy": 0.9, "f1": 0.8})\n'
                + '            mlflow.log_metric("recall", 0.7, step=0)\n',
            ),
        ),
        launch="fluent",
    ),
    Mutant(
        "callback-same-value-again-at-a-step",
        BASE,
        (callbacks(LOG_METRICS, LOG_METRICS * 2),),
    ),
    Mutant(
        "callback-experiment-chosen-by-hand",
        BASE,
        (
            importing("os"),
            callbacks(
                START,
                '        if "MLFLOW_RUN_ID" not in os.environ:\n'
                f'            mlflow.set_experiment("line")\n{START}',
            ),
        ),
    ),
    Mutant(
        "callback-tracking-uri-of-the-environment",
        BASE,
        (
            importing("os"),
            callbacks(START, f'        mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])\n{START}'),
        ),
    ),
    Mutant(
        "callback-layers-one-by-one",
        BASE,
        (
            callbacks(
                "        " + LOG_PARAMS,
                "        " + LOG_PARAMS + "        for i in range(9):\n"
                '            mlflow.log_param(f"layer_{i}_size", 2**i)\n',
            ),
        ),
    ),
    Mutant(
        "callback-slow-and-steady",
        BASE,
        SLOW,
    ),
    Mutant(
        "callback-many-quick-epochs",
        BASE,
        (mlproject("default: 4", "default: 60"),),
    ),
    Mutant(
        "callback-asynchronous",
        BASE,
        (
            callbacks(LOG_METRICS, "        mlflow.log_metrics(logs, step=epoch, synchronous=False)\n"),
            callbacks(END, f"        mlflow.flush_async_logging()\n{END}"),
        ),
    ),
    Mutant(
        "callback-in-a-thread",
        BASE,
        (
            importing("threading"),
            callbacks(
                LOG_METRICS,
                "        thread = threading.Thread(target=self.log, args=(epoch, logs))\n"
                "        thread.start()\n"
                "        thread.join()\n\n"
                "    def log(self, epoch, logs):\n"
                "        for name, value in logs.items():\n"
                "            self.client.log_metric(self.run.info.run_id, name, value, step=epoch)\n",
            ),
        ),
        launch="fluent",
    ),
    Mutant(
        "callback-run-id-asked-too-late",
        BASE,
        (
            importing("os"),
            callbacks(
                "        " + LOG_PARAMS,
                "        "
                + LOG_PARAMS
                + '        if "MLFLOW_RUN_ID" not in os.environ:\n'
                + '            mlflow.log_param("host", "local")\n',
            ),
        ),
        # start_run() takes MLFLOW_RUN_ID out of the environment: after it, it is there in neither mode.
    ),
    Mutant(
        "callback-long-param-that-fits",
        BASE,
        (trainer('"optimizer": "sgd"', '"optimizer": "sgd", "data": "ab" * 2999'),),
    ),
)

MUTANTS = (*LAUNCHES, *PARAMS, *METRICS, *ARTIFACTS, *CORRECT)
