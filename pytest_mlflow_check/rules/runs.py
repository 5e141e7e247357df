"""The rules of the check `launches` about the runs as such, the store they go to, and the project's files."""

from __future__ import annotations

from pytest_mlflow_check.rules.rule import Rule

RULES = (
    Rule(
        slug="store-damaged",
        check="launches",
        severity="error",
        title="launches: the store has what can't be read: {subjects}",
        summary="a file or table of a launch's store is damaged; what it held is missing from all checks",
        explanation=(
            "What a launch logged is read from the files or the database that MLflow wrote. Where one of "
            "these is cut short, overwritten, removed, no regular file, or kept locked, the rest is read and "
            "this is named. A process that was killed while it logged leaves half a line behind; anything "
            "else was done by code that writes into its own store, or by a full disk."
        ),
        example='shutil.rmtree(run.info.artifact_uri.removeprefix("file://") + "/../metrics")',
        fix="client.delete_run(run_id)   # MLflow's own functions leave the store whole",
        supersedes=("no-run-logged", "run-empty", "run-missing"),
        noun="file",
    ),
    Rule(
        slug="no-run-logged",
        check="launches",
        severity="error",
        title="launches: {subjects} logged nothing",
        summary="a launch ended well and its code logged nothing at all",
        explanation=(
            "Exit code 0 proves nothing: code without MLflow, code that never reaches start_run(), or code "
            "that catches its own exception ends well. `mlflow run` makes a run and logs the parameters by "
            "itself, so its run is there even when the code has no MLflow in it. Runs that the code deleted "
            "again (MlflowClient.delete_run) don't count, and the finding says how many there are."
        ),
        example="def main(): train()   # no mlflow call anywhere",
        fix='with mlflow.start_run():\n    mlflow.log_param("index", index)\n    train()',
    ),
    Rule(
        slug="run-empty",
        check="launches",
        severity="error",
        title="launches: the run of {subjects} is empty",
        summary="a launch ended well and left an empty run, while the other launch's code logged",
        explanation=(
            "The run is there and says FINISHED, and the code put nothing into it; started the other way, it "
            "logged. Usually an exception is caught and forgotten, or the code asks whether MLFLOW_RUN_ID is "
            "set or a run is active, and logs only then. Nothing else of the case is compared."
        ),
        example="try:\n    train_and_log()\nexcept Exception:\n    pass",
        fix="Let exceptions end the program, and log whatever the launch mode.",
    ),
    Rule(
        slug="run-missing",
        noun="run",
        check="launches",
        severity="error",
        title="launches: runs logged by one launch only: {n}",
        summary="a run is logged by only one of the two launches",
        explanation=(
            "The same code under both launch modes should log the same runs. They are matched below each "
            "parent: by the name that the code gave, by equal params, by equal tags, by shape, and by order. "
            "Under `mlflow run` the first start_run() joins the run that MLFLOW_RUN_ID names; a plain "
            "command creates one. Code that creates runs in another way (MlflowClient.create_run) has one "
            "more under `mlflow run`."
        ),
        example='client.create_run("0")   # does not join the run that `mlflow run` made',
        fix="with mlflow.start_run():   # joins it",
    ),
    Rule(
        slug="logged-by-several-processes",
        noun="processes",
        check="launches",
        severity="error",
        title="launches: logged by several processes: {subjects}",
        summary="several processes start a run, or log the same to one, where one of them should",
        explanation=(
            "A run belongs to the process that started it. A plain command makes a run in each process that "
            "calls start_run(); under `mlflow run` all of them inherit MLFLOW_RUN_ID and join one run, where "
            "params collide and points mix. Processes that load data have no run, and whatever they log "
            "starts one. Ranks of a distributed training, workers of a pool, and children that log at the "
            "same time are told apart; a run that each makes for itself below a parent is fine."
        ),
        example="mlflow.start_run()   # in both processes of torchrun --nproc_per_node=2",
        fix=(
            "if rank == 0:\n    mlflow.start_run()\n\n# or, in the workers of a pool\n"
            "mlflow.start_run(nested=True, parent_run_id=parent_id)"
        ),
        # Runs that processes mixed, or made too many of, can't be compared.
        supersedes=(
            "run-missing",
            "run-without-parent",
            "run-started-again",
            "several-top-level-runs",
            "run-empty",
            "no-run-logged",
            "run-left-running",
            "run-closed-at-exit",
            "failed-but-finished",
            "run-name-differs",
            "description-differs",
            "tag-missing",
            "tag-differs",
            "dataset-missing",
            "dataset-differs",
            "param-missing-in-fluent",
            "param-missing-in-mlflow-run",
            "param-differs",
            "metric-missing",
            "metric-without-step",
            "metric-points-differ",
            "metric-steps-differ",
            "metric-values-differ",
            "metric-step-repeated",
            "artifact-missing",
            "artifact-content-differs",
            "model-missing",
            "model-differs",
        ),
        needs_observer=True,
    ),
    Rule(
        slug="run-without-parent",
        noun="run",
        check="launches",
        severity="error",
        title="launches: {n} nested without a parent",
        summary="a run started with `nested=True` in another thread or process than its parent has none",
        explanation=(
            "MLflow knows the active run of each thread by itself (since 2.13). In a thread, or in a process "
            "of its own, nested=True finds none, and the run becomes a top-level run beside the one that it "
            "belongs to: of a study with n_jobs=2 the trials stand in the list one by one. A parent that is "
            "named holds in all threads and processes."
        ),
        example="with mlflow.start_run(), ThreadPoolExecutor() as pool:\n    pool.map(trial, rates)\n\n"
        "def trial(rate):\n    with mlflow.start_run(nested=True): …",
        fix="with mlflow.start_run(nested=True, parent_run_id=parent.info.run_id): …",
        supersedes=("several-top-level-runs", "run-missing"),
        needs_observer=True,
    ),
    Rule(
        slug="run-started-again",
        noun="run",
        check="launches",
        severity="error",
        title="launches: {n} started after another had ended",
        summary="what belongs to a run is logged after its end, so that MLflow or a library starts another",
        explanation=(
            "log_param, log_metric and the like start a run where none is active, and so do the callbacks of "
            "libraries. After the end of a `with mlflow.start_run()`, of what autologging logged, or of a "
            "library's training, which ends the run that it started (Trainer.train() of transformers), the "
            "next call starts another one: the results stand in another run than what they are the results "
            "of. A run that the code opens around both is ended by nobody else."
        ),
        example="trainer.train()\ntrainer.evaluate()   # in another run",
        fix="with mlflow.start_run():\n    trainer.train()\n    trainer.evaluate()",
        supersedes=("several-top-level-runs", "run-missing", "run-closed-at-exit", "run-left-running"),
        needs_observer=True,
    ),
    Rule(
        slug="logged-to-another-run",
        noun="run",
        check="launches",
        severity="error",
        title="launches: {n} made by a library beside the open run",
        summary="a library logs to a run of its own though one is open",
        explanation=(
            "Loggers of some libraries don't look for the active run: they make one with a client of their "
            "own, as Lightning's MLFlowLogger does unless it is given run_id=. The params that the code "
            "logged and the metrics of the training then stand in two runs; under `mlflow run`, one of them "
            "is the run that it made."
        ),
        example='with mlflow.start_run():\n    trainer = Trainer(logger=MLFlowLogger(experiment_name="net"))',
        fix=(
            "with mlflow.start_run() as run:\n"
            "    trainer = Trainer(logger=MLFlowLogger(run_id=run.info.run_id))"
        ),
        supersedes=("several-top-level-runs", "run-missing", "run-closed-at-exit", "run-left-running"),
        needs_observer=True,
    ),
    Rule(
        slug="several-top-level-runs",
        noun="runs",
        check="launches",
        severity="error",
        title="launches: {subjects} share the one that mlflow run made",
        summary="the code starts several top-level runs, and only the first has what `mlflow run` logs",
        explanation=(
            "`mlflow run` makes one run, logs the parameters of the entry point to it, and names it in "
            "MLFLOW_RUN_ID. The first run that the code starts joins it; all others are made beside it. One "
            "trial of a search then has the parameters of the whole search, and nobody who looks at the run "
            "of `mlflow run` finds the rest. With a parent run around them, that one joins, and they are "
            "nested in it."
        ),
        example="for rate in rates:\n    with mlflow.start_run(): …",
        fix=(
            "with mlflow.start_run():   # the parent run\n    for rate in rates:\n"
            "        with mlflow.start_run(nested=True): …"
        ),
        supersedes=("param-missing-in-fluent",),
    ),
    Rule(
        slug="run-left-running",
        noun="run",
        check="launches",
        severity="error",
        title="launches: {n} left running",
        summary="a run still counts as running after its launch ended well",
        explanation=(
            "MLflow ends the active run when Python ends, and only that. A run made with "
            "MlflowClient.create_run, or one whose process never reached its end, stays RUNNING for good: "
            "nobody can tell it from one that is still training."
        ),
        example='run = client.create_run("0")\nclient.log_metric(run.info.run_id, "loss", 0.5)',
        fix="try:\n    …\nfinally:\n    client.set_terminated(run.info.run_id)",
    ),
    Rule(
        slug="run-closed-at-exit",
        noun="run",
        check="launches",
        severity="warning",
        title="launches: {n} closed only at exit",
        summary="a run was started without `with` and never ended by the code",
        explanation=(
            "start_run() without `with` leaves the run open; MLflow closes it when Python ends, as FINISHED, "
            "whatever happened before. A run that crashed then looks like one that didn't. The same goes for "
            "the run that the first log_param or log_metric starts by itself."
        ),
        example="mlflow.start_run()\ntrain()",
        fix="with mlflow.start_run():\n    train()",
        needs_observer=True,
    ),
    Rule(
        slug="failed-but-finished",
        noun="run",
        check="launches",
        severity="error",
        title="launches: {n} FINISHED in a launch that failed",
        summary="a launch failed, and its run says FINISHED",
        explanation=(
            "`with mlflow.start_run()` marks the run FAILED when an exception passes. Without `with`, MLflow "
            "closes the run when Python ends, as FINISHED. Half a training stands in the list as a whole one."
        ),
        example="mlflow.start_run()\nraise ValueError   # the run says FINISHED",
        fix="with mlflow.start_run():\n    raise ValueError   # the run says FAILED",
        needs_observer=True,
    ),
    Rule(
        slug="tracking-uri-hardcoded",
        noun="URI",
        check="launches",
        severity="error",
        title="launches: {n} hard-coded",
        summary="the code leads MLflow to a tracking store or registry of its own choice",
        explanation=(
            "A tracking URI in the code wins over MLFLOW_TRACKING_URI and over what `mlflow run` was "
            "started with: under `mlflow run` the run that MLflow made stays empty, or the code crashes on a "
            "run id that its own store doesn't know. The launch is led back to its own store, so nothing is "
            'sent to the one named, and the checks go on. With tracking_uri = "block" in the settings it '
            "stops there."
        ),
        example='mlflow.set_tracking_uri("http://prod:5000")',
        fix="MLFLOW_TRACKING_URI=http://prod:5000 python train.py",
    ),
    Rule(
        slug="launch-unobserved",
        noun="process",
        check="launches",
        severity="error",
        title="launches: MLflow ran unobserved: {subjects}",
        summary="MLflow ran, or may have run, in a process of the launch that couldn't be observed",
        explanation=(
            "Every Python process of a launch is observed and guarded: by a .pth file in the environment of "
            "the plugin and in those that MLflow makes, and by PYTHONPATH elsewhere. Python started with -S "
            "isn't observed. Another Python, started without PYTHONPATH, isn't guarded either: what it "
            "sends to a server that the code names isn't led back. That nothing was logged can't be said of "
            "them."
        ),
        example="subprocess.run([sys.executable, '-S', 'train.py'])",
        fix="subprocess.run([sys.executable, 'train.py'])",
        supersedes=("no-run-logged", "run-empty"),
    ),
    Rule(
        slug="linked-file-written",
        noun="file",
        check="launches",
        severity="error",
        title="launches: {n} of your own files changed",
        summary="a file of yours was changed through `workspace.link` while a launch ran",
        explanation=(
            "Files that workspace.link names aren't copied: in a launch's copy they are links to your own, "
            "and what the code writes to them is written to yours. Size, time of change and identity of each "
            "are looked at before and after a launch. New files beside them, and files that replace a link, "
            "stay in the copy. Somebody else may have changed the file meanwhile, too."
        ),
        example='workspace = { link = ["data/**"] }\n\nopen("data/table.csv", "a").write("1,2\\n")',
        fix='open("out/table.csv", "a").write("1,2\\n")',
    ),
    Rule(
        slug="project-dir-written",
        noun="file",
        check="launches",
        severity="warning",
        title="launches: {n} of the project's files changed",
        summary="a launch changed or deleted a file that came with the project",
        explanation=(
            "The launches run in copies, so your files are as they were; but started by hand, the code "
            "overwrites a file of the project. The next run starts from something else, and the commit that "
            "MLflow notes down no longer says what ran. New files are fine."
        ),
        example='Path("config.yaml").write_text(yaml.dump(config))   # config.yaml is committed',
        fix='Path("out/config.yaml").write_text(yaml.dump(config))',
    ),
)
