"""Mutants of the search, a run with nested runs. No model, no library."""

from __future__ import annotations

from mutants.mutant import Edit, Mutant, artifacts, launches, metrics, params

BASE = "nested"
BOTH = "fluent and mlflow run"
SEARCH = "search.py"

IMPORT = "import json\nimport sys\n"
PARENT = "    with mlflow.start_run() as parent:\n"
TRIAL = '    with mlflow.start_run(run_name=f"trial-{number}", nested=True):\n'
RATE = '        mlflow.log_param("rate", rate)\n'
LOOP = "        for step, loss in enumerate(descend(rate, steps)):\n"
LOSS = '            mlflow.log_metric("loss", loss, step=step)\n'
CONFIG = '    config = json.loads(Path("config.json").read_text())\n'
TRIALS = (
    '        if "trials" not in mlflow.get_run(parent.info.run_id).data.params:\n'
    '            mlflow.log_param("trials", trials)\n'
)
STEPS = '        mlflow.log_param("steps", config["steps"])\n'
EACH = '            losses[rate] = run_trial(number, rate, config["steps"])\n'
BEST = '        mlflow.log_metric("best_loss", losses[best])\n'
VENDOR = 'sys.path.insert(0, str(Path(__file__).with_name("vendor") / "site-packages"))\n'
LOGGER = """from mlflow import MlflowClient


class Logger:
    def log(self, key, value):
        client = MlflowClient()
        run_id = client.create_run("0").info.run_id
        client.log_metric(run_id, key, value)
        client.set_terminated(run_id)
"""
MAIN = "    search(int(sys.argv[1]))\n"
FILE = '        mlflow.log_dict({"rate": best}, "best.json")\n'


def search(old: str, new: str) -> Edit:
    return Edit(SEARCH, old, new)


def importing(*modules: str) -> Edit:
    return search(IMPORT, "".join(f"import {name}\n" for name in sorted(["json", "sys", *modules])))


def every_trial(rule: str, key: str, at: str) -> tuple:
    return (metrics(rule, key, at),) * 3


LAUNCHES = (
    Mutant(
        "nested-forgot-nested",
        BASE,
        (search(TRIAL, '    with mlflow.start_run(run_name=f"trial-{number}"):  # <- here\n'),),
        expected=(launches("launch-failed", BOTH, SEARCH, says="another run was active"),),
    ),
    Mutant(
        "nested-trials-in-the-parent",
        BASE,
        (
            search(TRIAL, "    if rate > 0:\n"),
            search(RATE, '        mlflow.log_param("rate", rate)  # <- here\n'),
        ),
        # In both modes: the second trial logs another rate.
        expected=(launches("param-rewritten", "rate", SEARCH),),
    ),
    Mutant(
        "nested-trial-raises",
        BASE,
        (
            search(
                LOOP, f'        if rate < 0.15:\n            raise ValueError("too small")  # <- here\n{LOOP}'
            ),
        ),
        expected=(launches("launch-failed", BOTH, SEARCH),),
    ),
    Mutant(
        "nested-removed-keyword",
        BASE,
        (search(PARENT, "    with mlflow.start_run(run_uuid=None) as parent:  # <- here\n"),),
        expected=(launches("launch-failed", "fluent", SEARCH, says="has no keyword run_uuid"),),
        launch="fluent",
    ),
    Mutant(
        "nested-removed-module",
        BASE,
        (
            search(
                "import mlflow\n",
                "import mlflow\nimport mlflow.gluon  # <- here\n",
            ),
        ),
        expected=(launches("launch-failed", "fluent", SEARCH, says="has no mlflow.gluon"),),
        launch="fluent",
    ),
    Mutant(
        "nested-joins-the-run-by-id",
        BASE,
        (
            importing("os"),
            search(
                PARENT,
                '    run_id = os.environ["MLFLOW_RUN_ID"]  # <- here\n'
                "    with mlflow.start_run(run_id=run_id) as parent:\n",
            ),
        ),
        expected=(launches("needs-run-id", "MLFLOW_RUN_ID", SEARCH),),
    ),
    Mutant(
        "nested-inner-run",
        BASE,
        (
            Edit(
                "MLproject",
                'command: "python search.py {trials}"\n',
                'command: "python search.py {trials}"\n  clean:\n    command: "true"\n',
            ),
            Edit("MLproject", "name: nested-search\n", "name: nested-search\nconda_env: conda.yaml\n"),
            search(CONFIG, f'{CONFIG}    mlflow.run(".", entry_point="clean")  # <- here\n'),
        ),
        files={
            "conda.yaml": "name: search\ndependencies: [python]\n",
            # Whether or not there is a conda: here isn't one.
            "mlflow-check.toml": '[[case]]\nenv = { MLFLOW_CONDA_HOME = "/nowhere" }\n',
        },
        expected=(launches("inner-run-environment", "conda", SEARCH),),
    ),
    Mutant(
        "nested-file-above",
        BASE,
        (
            search(
                'Path("config.json").read_text())', 'Path("../shared/config.json").read_text())  # <- here'
            ),
        ),
        files={"../shared/config.json": '{"steps": 4, "rates": [0.4, 0.2, 0.1]}\n'},
        expected=(launches("file-outside-workspace", "../shared/config.json", SEARCH),),
    ),
    Mutant(
        "nested-file-above-by-file",
        BASE,
        (
            search(
                'Path("config.json").read_text())',
                'open(Path(__file__).parent.parent / "shared" / "config.json").read())  # <- here',
            ),
        ),
        files={"../shared/config.json": '{"steps": 4, "rates": [0.4, 0.2, 0.1]}\n'},
        expected=(launches("file-outside-workspace", "*/shared/config.json", SEARCH),),
    ),
    Mutant(
        "nested-parent-of-the-client",
        BASE,
        (
            search(
                PARENT,
                '    made = mlflow.MlflowClient().create_run("0")  # <- here\n'
                "    with mlflow.start_run(run_id=made.info.run_id) as parent:\n",
            ),
        ),
        # Under mlflow run the first nested start_run() joins the run that mlflow run made: as many runs in
        # all, but one of them in another place.
        expected=(
            launches("run-missing", "trial-0", f"{SEARCH}: nested=True"),
            launches("run-missing", "run 2/trial-0", f"{SEARCH}: nested=True"),
        ),
    ),
    Mutant(
        "nested-trials-in-threads",
        BASE,
        (
            importing("concurrent.futures"),
            search(
                EACH,
                "            with concurrent.futures.ThreadPoolExecutor() as pool:\n"
                '                trial = pool.submit(run_trial, number, rate, config["steps"])\n'
                "            losses[rate] = trial.result()\n",
            ),
        ),
        expected=tuple(
            launches("run-without-parent", f"trial-{number}", f"{SEARCH}: nested=True") for number in range(3)
        ),
    ),
    Mutant(
        "nested-metric-after-the-end",
        BASE,
        (search(FILE, f'{FILE}    mlflow.log_metric("trials_made", len(losses))  # <- here\n'),),
        expected=(launches("run-started-again", "run 2", SEARCH),),
    ),
    Mutant(
        "nested-logger-of-a-library",
        BASE,
        (
            search("import mlflow\n", f"import mlflow\n\n{VENDOR}import tables  # noqa: E402\n"),
            search(FILE, f'{FILE}        tables.Logger().log("best", losses[best])  # <- here\n'),
        ),
        files={"vendor/site-packages/tables.py": LOGGER},
        expected=(launches("logged-to-another-run", "run 2", SEARCH),),
    ),
    Mutant(
        "nested-no-parent",
        BASE,
        (
            search(PARENT, "    if trials:\n"),
            search(TRIALS + STEPS, ""),
            search(TRIAL, '    with mlflow.start_run(run_name=f"trial-{number}"):  # <- here\n'),
            search(BEST + FILE, ""),
        ),
        expected=(launches("several-top-level-runs", "3 runs", SEARCH),),
    ),
    Mutant(
        "nested-every-rank-logs",
        BASE,
        (
            Edit(
                "MLproject",
                '"python search.py {trials}"',
                '"RANK=0 python search.py {trials} & RANK=1 python search.py {trials}; wait"',
            ),
        ),
        expected=(launches("logged-by-several-processes", "RANK 0 and 1", f"{SEARCH}: as parent"),),
    ),
    Mutant(
        "nested-two-workers-search",
        BASE,
        (
            importing("multiprocessing"),
            search(
                MAIN,
                '    fork = multiprocessing.get_context("fork")\n'
                "    workers = [fork.Process(target=search, args=(int(sys.argv[1]),)) for _ in range(2)]\n"
                "    for worker in workers:\n        worker.start()\n"
                "    for worker in workers:\n        worker.join()\n",
            ),
        ),
        expected=(launches("logged-by-several-processes", "worker processes", f"{SEARCH}: as parent"),),
    ),
    Mutant(
        "nested-one-trial-in-fluent",
        BASE,
        (
            importing("os"),
            search(CONFIG, f'{CONFIG}    quick = "MLFLOW_RUN_ID" not in os.environ\n'),
            search('config["rates"][:trials]', 'config["rates"][: 1 if quick else trials]'),
        ),
        # The first trial is the best.
        expected=tuple(
            launches("run-missing", f"run 1/trial-{number}", f"{SEARCH}: nested=True") for number in (1, 2)
        ),
    ),
    Mutant(
        "nested-trials-left-running",
        BASE,
        (
            search(
                TRIAL + RATE + LOOP + LOSS,
                "    client, parent = mlflow.MlflowClient(), mlflow.active_run().info\n"
                '    tags = {"mlflow.parentRunId": parent.run_id}\n'
                "    trial = client.create_run(parent.experiment_id, tags=tags).info  # <- here\n"
                '    client.log_param(trial.run_id, "rate", rate)\n'
                "    for step, loss in enumerate(descend(rate, steps)):\n"
                '        client.log_metric(trial.run_id, "loss", loss, step=step)\n',
            ),
        ),
        expected=tuple(launches("run-left-running", f"run 1/{number}", SEARCH) for number in (1, 2, 3)),
    ),
    Mutant(
        "nested-parent-never-ended",
        BASE,
        (search(PARENT, "    parent = mlflow.start_run()  # <- here\n    if parent:\n"),),
        expected=(launches("run-closed-at-exit", "run 1", SEARCH),),
    ),
    Mutant(
        "nested-client-of-a-database",
        BASE,
        (
            search(
                BEST,
                '        client = mlflow.MlflowClient(tracking_uri="sqlite:///search.db")  # <- here\n'
                '        client.log_metric(parent.info.run_id, "best_loss", losses[best])\n',
            ),
        ),
        expected=(launches("tracking-uri-hardcoded", "sqlite:///search.db", SEARCH),),
    ),
    Mutant(
        "nested-config-written-back",
        BASE,
        (
            search(
                FILE,
                FILE + '        Path("config.json").write_text(json.dumps({**config, "rates": [best]}))\n',
            ),
        ),
        expected=(launches("project-dir-written", "config.json"),),
    ),
    Mutant(
        "nested-linked-file-appended-to",
        BASE,
        (
            search(
                FILE,
                FILE
                + '        with Path("data/all.csv").open("a") as file:\n            file.write("0.1\\n")\n',
            ),
        ),
        files={
            "data/all.csv": "rate\n",
            "mlflow-check.toml": 'workspace = { link = ["data/*.csv"] }\n',
        },
        expected=(launches("linked-file-written", "data/all.csv"),),
        launch="fluent",
    ),
    Mutant(
        "nested-cleaned-up-too-much",
        BASE,
        (
            search(
                FILE,
                FILE + '        for file in Path("results").iterdir():\n            file.unlink()\n',
            ),
        ),
        files={"results/2023.csv": "rate,loss\n0.1,0.5\n"},
        expected=(launches("project-dir-written", "results/2023.csv"),),
        launch="fluent",
    ),
    Mutant(
        "nested-unlogged",
        BASE,
        (search(PARENT, "    with mlflow.start_run() as parent:  # <- here\n        return\n"),),
        expected=(launches("no-run-logged", BOTH, SEARCH),),
    ),
)

PARAMS = (
    Mutant(
        "nested-param-forgotten",
        BASE,
        (search(TRIALS, ""),),
        expected=(params("param-missing-in-fluent", "trials", f"{SEARCH}: as parent"),),
    ),
    Mutant(
        "nested-param-only-under-mlflow-run",
        BASE,
        (
            importing("os"),
            search(CONFIG, f'{CONFIG}    host = os.environ.get("MLFLOW_RUN_ID") and "cluster"\n'),
            search(
                STEPS, STEPS + '        if host:\n            mlflow.log_param("host", host)  # <- here\n'
            ),
        ),
        expected=(params("param-missing-in-fluent", "host", SEARCH),),
    ),
    Mutant(
        "nested-param-hostname-and-pid",
        BASE,
        (
            importing("os"),
            search(STEPS, STEPS + '        mlflow.log_param("pid", os.getpid())  # <- here\n'),
        ),
        expected=(params("param-varies", "pid", SEARCH),),
    ),
    Mutant(
        "nested-rate-per-step",
        BASE,
        (
            search(
                LOSS, LOSS + '            mlflow.log_param(f"rate_{step}", rate / (step + 1))  # <- here\n'
            ),
        ),
        expected=(params("param-changes-per-step", "rate_*", SEARCH),) * 3,
    ),
    Mutant(
        "nested-config-as-a-param",
        BASE,
        (
            search(
                STEPS,
                '        grid = json.dumps({"grid": list(range(1500))})\n'
                '        mlflow.log_params({"steps": 4, "config": grid})  # <- here\n',
            ),
        ),
        expected=(params("param-too-long", "config", SEARCH),),
    ),
)

METRICS = (
    Mutant(
        "nested-trials-without-step",
        BASE,
        (search(LOSS, '            mlflow.log_metric("loss", loss)  # <- here\n'),),
        expected=every_trial("metric-without-step", "loss", SEARCH),
    ),
    Mutant(
        "nested-number-of-the-trial-as-step",
        BASE,
        (search(LOSS, '            mlflow.log_metric("loss", loss, step=number + 1)  # <- here\n'),),
        expected=every_trial("metric-step-repeated", "loss", SEARCH),
        launch="fluent",
    ),
    Mutant(
        "nested-parent-collects-without-step",
        BASE,
        (search(EACH, EACH + '            mlflow.log_metric("trial_loss", losses[rate])  # <- here\n'),),
        expected=(metrics("metric-without-step", "trial_loss", SEARCH),),
        launch="fluent",
    ),
    Mutant(
        "nested-parent-collects-without-step-by-client",
        BASE,
        (
            search(
                EACH,
                EACH
                + "            mlflow.MlflowClient().log_metric(  # <- here\n"
                + '                parent.info.run_id, "trial_loss", losses[rate], None\n'
                + "            )\n",
            ),
        ),
        expected=(metrics("metric-without-step", "trial_loss", SEARCH),),
        launch="fluent",
    ),
    Mutant(
        "nested-all-losses-in-the-parent",
        BASE,
        (
            search(TRIAL, "    if rate > 0:\n"),
            search(RATE, '        mlflow.log_param(f"{number}/rate", rate)\n'),
            search(LOSS, '            mlflow.log_metric("loss", loss, step=step)  # <- here\n'),
            search('"rates"][:trials]', '"rates"][1:]'),
        ),
        expected=(metrics("metric-step-repeated", "loss", SEARCH),),
        launch="fluent",
    ),
    Mutant(
        "nested-best-so-far-begins-infinite",
        BASE,
        (
            search(
                EACH,
                '            so_far = min(losses.values(), default=float("inf"))\n'
                '            mlflow.log_metric("so_far", so_far, step=number)  # <- here\n' + EACH,
            ),
        ),
        expected=(metrics("metric-not-finite", "so_far", SEARCH),),
        launch="fluent",
    ),
    Mutant(
        "nested-no-seed",
        BASE,
        (importing("random"), search("    x = 1.0\n", "    x = random.random()\n")),
        expected=(
            *every_trial("metric-varies", "loss", f"{SEARCH}: step=step"),
            metrics("metric-varies", "best_loss", f"{SEARCH}: best_loss"),
        ),
    ),
    Mutant(
        "nested-steps-go-on-under-mlflow-run",
        BASE,
        (
            importing("os"),
            search(
                "import mlflow\n", 'import mlflow\n\nFIRST = 10 if "MLFLOW_RUN_ID" in os.environ else 0\n'
            ),
            search(LOSS, '            mlflow.log_metric("loss", loss, step=FIRST + step)  # <- here\n'),
        ),
        expected=every_trial("metric-steps-differ", "loss", SEARCH),
    ),
)

ARTIFACTS = (
    Mutant(
        "nested-file-only-under-mlflow-run",
        BASE,
        (
            importing("os"),
            search(CONFIG, f'{CONFIG}    by_hand = "MLFLOW_RUN_ID" not in os.environ\n'),
            search(
                FILE,
                '        if not by_hand:\n            mlflow.log_text(str(best), "best.json")  # <- here\n',
            ),
        ),
        expected=(artifacts("artifact-missing", "best.json", SEARCH),),
    ),
)

CORRECT = (
    Mutant("nested-correct", BASE),
    Mutant(
        "nested-one-step-in-all-trials",
        BASE,
        (search(LOOP + LOSS, LOOP + '            pass\n        mlflow.log_metric("loss", loss, step=3)\n'),),
    ),
    Mutant(
        "nested-config-logged",
        BASE,
        (search(FILE, f'{FILE}        mlflow.log_artifact("config.json")\n'),),
    ),
    Mutant(
        "nested-directory-of-configs-logged",
        BASE,
        (search(FILE, f'{FILE}        mlflow.log_artifacts("conf", "conf")\n'),),
        files={"conf/a.json": "{}\n", "conf/b.json": "[]\n"},
        launch="fluent",
    ),
    Mutant(
        "nested-failed-trial-goes-on",
        BASE,
        (
            search("import json\n", "import contextlib\nimport json\n"),
            search(EACH, f"            with contextlib.suppress(ZeroDivisionError):\n    {EACH}"),
            search(LOOP, f"        if rate == 0.1:\n            rate /= 0\n{LOOP}"),
        ),
    ),
    Mutant(
        "nested-config-written-as-it-was",
        BASE,
        (
            search(
                CONFIG,
                '    text = Path("config.json").read_text()\n'
                f'    Path("config.json").write_text(text)\n{CONFIG}',
            ),
        ),
        launch="fluent",
    ),
    Mutant(
        "nested-new-files-in-the-project",
        BASE,
        (
            search(
                FILE,
                '        Path("best.json").write_text(str(best))\n        mlflow.log_artifact("best.json")\n',
            ),
        ),
        launch="fluent",
    ),
    Mutant(
        "nested-ended-in-a-finally",
        BASE,
        (
            search(PARENT, "    parent = mlflow.start_run()\n    try:\n"),
            search(FILE, f"{FILE}    finally:\n        mlflow.end_run()\n"),
        ),
    ),
    Mutant(
        "nested-trials-in-worker-processes",
        BASE,
        (
            importing("multiprocessing"),
            search("def run_trial(number, rate, steps):", "def run_trial(number, rate, steps, parent):"),
            search("nested=True", "nested=True, parent_run_id=parent"),
            search(
                EACH,
                '            with multiprocessing.get_context("fork").Pool(1) as pool:\n'
                '                given = (number, rate, config["steps"], parent.info.run_id)\n'
                "                losses[rate] = pool.apply(run_trial, given)\n",
            ),
        ),
    ),
    Mutant(
        "nested-trials-of-the-client",
        BASE,
        (
            search(
                TRIAL + RATE + LOOP + LOSS,
                "    client, parent = mlflow.MlflowClient(), mlflow.active_run().info\n"
                '    tags = {"mlflow.parentRunId": parent.run_id}\n'
                "    trial = client.create_run(parent.experiment_id, tags=tags).info\n"
                "    for step, loss in enumerate(descend(rate, steps)):\n"
                '        client.log_metric(trial.run_id, "loss", loss, step=step)\n'
                "    client.set_terminated(trial.run_id)\n",
            ),
        ),
    ),
)

MUTANTS = (*LAUNCHES, *PARAMS, *METRICS, *ARTIFACTS, *CORRECT)
