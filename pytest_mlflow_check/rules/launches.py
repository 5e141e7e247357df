"""The rules of the check `launches`: how the launches ended, and what the MLproject says."""

from __future__ import annotations

from pytest_mlflow_check.rules.rule import Rule

RULES = (
    Rule(
        slug="mlproject-invalid",
        check="launches",
        severity="error",
        title="MLproject: {subjects} can't be read",
        summary="the MLproject file is broken YAML, or holds what MLflow can make nothing of",
        explanation=(
            "`mlflow run` reads the MLproject file before anything else and ends with whatever exception "
            "comes of it. Found by reading the file: pytest ends with a usage error that names file and "
            "line, and nothing is collected or launched. It can't be switched off."
        ),
        example="entry_points:\n  main:\n    command: [python, train.py]",
        fix='entry_points:\n  main:\n    command: "python train.py"',
        noun="entry point",
    ),
    Rule(
        slug="mlproject-undeclared-placeholder",
        check="launches",
        severity="error",
        title="MLproject: no parameter for {subjects}",
        summary="the entry point's command has a placeholder that is no declared parameter",
        explanation=(
            "MLflow fills the command in with str.format and the declared parameters. Any other name in "
            "braces ends `mlflow run` with a KeyError, also where the braces were meant for the shell, for "
            "awk or for JSON. Found by reading the file, as mlproject-invalid is; with "
            "--mlflow-static it is a finding like others."
        ),
        example='parameters:\n  alpha: float\ncommand: "python train.py {alpah} && echo ${HOME}"',
        fix='parameters:\n  alpha: float\ncommand: "python train.py {alpha} && echo ${{HOME}}"',
        noun="placeholder",
    ),
    Rule(
        slug="mlproject-null-default",
        noun="param",
        check="launches",
        severity="error",
        title="MLproject: the default null of {subjects}",
        summary="a parameter's default is `null`, which MLflow counts as no default",
        explanation=(
            "MLflow reads `default: null` as if there were no default (Parameter, "
            "mlflow.projects._project_spec). Without a value `mlflow run` refuses to start: "
            '"No value given for missing parameters". Found by reading the file; where no value was '
            "given, nothing is launched."
        ),
        example="parameters:\n  model_dir: {type: string, default: null}",
        fix=(
            'Give it a text as default, and let the code treat the empty text as "not given":\n\n'
            'parameters:\n  model_dir: {type: string, default: ""}'
        ),
    ),
    Rule(
        slug="mlproject-unused-parameter",
        check="launches",
        severity="warning",
        title="MLproject: the command doesn't use {subjects}",
        summary="a declared parameter that the entry point's command doesn't use",
        explanation=(
            "`mlflow run` takes a value for every declared parameter and logs it. Where the command has no "
            "placeholder for it, the code never gets the value: the run says that it trained with it, and it "
            "did not. Found by reading the MLproject file."
        ),
        example='parameters:\n  alpha: {type: float, default: 0.5}\ncommand: "python train.py"',
        fix='parameters:\n  alpha: {type: float, default: 0.5}\ncommand: "python train.py --alpha {alpha}"',
        # What `mlflow run` logs by itself and the code knows nothing of.
        supersedes_same_subject=("param-missing-in-fluent",),
        noun="param",
    ),
    Rule(
        slug="mlproject-missing-file",
        check="launches",
        severity="error",
        title="MLproject: not in the project: {subjects}",
        summary="the MLproject names a script or another file that isn't there, or only in another case",
        explanation=(
            "A script or module that the command starts, a configuration file that it names in a plain word, "
            "or the file under python_env or conda_env isn't in the project. macOS and Windows find a file "
            "whose name differs in upper and lower case, Linux doesn't. Found by reading the files; nothing "
            "is said of what a placeholder, the shell or an earlier part of the command brings. A warning "
            "where the launch may do without the file."
        ),
        example='command: "python Train.py --config conf.yaml"   # it is train.py, and conf/conf.yaml',
        fix='command: "python train.py --config conf/conf.yaml"',
        noun="file",
    ),
    Rule(
        slug="mlproject-unknown-option",
        check="launches",
        severity="error",
        title="MLproject: the script has no option {subjects}",
        summary="the command gives an option that the script's own parser doesn't know",
        explanation=(
            "argparse, click and typer end a script that is given an unknown option. Found by reading the "
            "script, which isn't started, and only where its text tells all of its options: nothing is said "
            "of subcommands, parse_known_args, options added in a loop or by another module, and other "
            "libraries."
        ),
        example='command: "python train.py --learning_rate {lr}"   # parser.add_argument("--learning-rate")',
        fix='command: "python train.py --learning-rate {lr}"',
        noun="option",
    ),
    Rule(
        slug="mlproject-absolute-path",
        check="launches",
        severity="warning",
        title="MLproject: on one machine only: {subjects}",
        summary="the command or a default names a path of somebody's own machine",
        explanation=(
            "A path below /home, /Users or a drive of Windows is there for one person. Whoever else runs the "
            "project, and every CI, gets an error, or other data. Found by reading the MLproject file; not "
            "in projects with a docker_env, where it may be a path of the container."
        ),
        example="parameters:\n  data: {type: string, default: /home/ann/data.csv}",
        fix="parameters:\n  data: {type: string, default: data/data.csv}",
        noun="path",
    ),
    Rule(
        slug="mlproject-wrong-environment",
        check="launches",
        severity="error",
        title="MLproject: the wrong kind of environment: {subjects}",
        summary="a conda file under `python_env`, or a python_env file under `conda_env`",
        explanation=(
            "MLflow reads python, build_dependencies and dependencies from a python_env file and ends with "
            "a TypeError of any other key, such as the channels of a conda file (_PythonEnv.from_dict). Of a "
            "python_env file under conda_env it leaves out the Python version and the requirements. With "
            "--env-manager=local neither is read: a warning then."
        ),
        example="python_env: conda.yaml",
        fix="conda_env: conda.yaml",
        noun="file",
    ),
    Rule(
        slug="mlproject-ignored-key",
        check="launches",
        severity="warning",
        title="MLproject: MLflow ignores {subjects}",
        summary="a key that is misspelt, in the wrong place or there twice, which MLflow ignores in silence",
        explanation=(
            "MLflow looks for its own keys in the MLproject and takes no notice of others: parameters at the "
            "top level, entry_point for entry_points, conda_env below an entry point might as well not be "
            "there. Of a key that is there twice it takes the last. Found by reading the file. Keys that "
            "resemble none of MLflow's are taken for notes."
        ),
        example='parameters:\n  alpha: float\nentry_points:\n  main:\n    command: "python train.py"',
        fix='entry_points:\n  main:\n    parameters: {alpha: float}\n    command: "python train.py {alpha}"',
        noun="key",
    ),
    Rule(
        slug="needs-docker",
        check="launches",
        severity="error",
        title="launches: no Docker for {subjects}",
        summary="the MLproject has a `docker_env`, and Docker can't be reached",
        explanation=(
            "`mlflow run` starts a project with docker_env in a container, whatever --env-manager says, and "
            "fails where `docker info` does. The run that it made by then stays RUNNING for good. Found "
            "before anything is launched, and nothing is."
        ),
        example="docker_env:\n  image: trainer",
        fix=(
            "Start Docker, or check the plain command alone:\n\n"
            "pytest --mlflow-project=. --mlflow-launch=fluent"
        ),
        noun="image",
    ),
    Rule(
        slug="launch-failed",
        check="launches",
        severity="error",
        title="launches: {subjects} failed",
        summary="a launch ended with an error, was killed, or ran out of time",
        explanation=(
            "A launch counts as failed when its process doesn't end with exit code 0. `mlflow run` turns "
            "every exit code of the command into 1. The title says the exception, and the finding what it "
            "means where that can be told: a package that isn't installed, a module that isn't on the path, "
            "a file, a script or a variable of the environment that isn't there, a host that isn't reached, "
            "an option that the script doesn't take. What the run logged up to then isn't compared: the "
            "other checks of the case are skipped."
        ),
        example='data = os.environ["DATA_DIR"]',
        fix=(
            "Do what the finding says, here in mlflow-check.toml:\n\n"
            '[[case]]\nenv = { DATA_DIR = "data" }\n\n'
            "The whole output is kept in the file named there. A launch that needs longer gets it with "
            "--mlflow-timeout=SECONDS."
        ),
    ),
    Rule(
        slug="param-rewritten",
        noun="param",
        check="launches",
        severity="error",
        title="launches: crashed, logged with two values: {subjects}",
        summary="the code logs another value for a param that is already logged",
        explanation=(
            "A param can be logged once; logging it again with another value raises "
            '"Changing param values is not allowed". `mlflow run` logs the entry point\'s parameters '
            "before the code starts, as the raw text it was given and quoted for the shell: `1` stays `1` "
            "where the code logs the float `1.0`, the empty text becomes `''`, `a b` becomes `'a b'`. The "
            "run dies there, with everything after that line unlogged."
        ),
        example='mlflow.log_param("alpha", alpha)   # "1.0"; `mlflow run -P alpha=1` has logged "1"',
        fix=(
            "Log a parameter only where `mlflow run` has not, and the value in use under a name of its own:"
            "\n\nlogged = mlflow.get_run(run.info.run_id).data.params\n"
            'if "alpha" not in logged:\n    mlflow.log_param("alpha", alpha)\n'
            'mlflow.log_param("cfg_alpha", alpha)'
        ),
    ),
    Rule(
        slug="experiment-hardcoded",
        check="launches",
        severity="error",
        title="launches: crashed because the code chooses {subjects}",
        summary="the code chooses an experiment, which `mlflow run` has done already",
        explanation=(
            "`mlflow run` makes the run before the code starts, in the experiment it was told, and "
            "start_run() joins it. After a set_experiment() that chooses another one start_run() refuses: "
            '"Cannot start run with ID … because active experiment ID does not match environment run ID".'
        ),
        example='mlflow.set_experiment("mine")\nwith mlflow.start_run():   # dies under `mlflow run`',
        fix="MLFLOW_EXPERIMENT_NAME=mine python train.py\nmlflow run . --experiment-name=mine",
        noun="experiment",
    ),
    Rule(
        slug="needs-run-id",
        check="launches",
        severity="error",
        title="launches: the plain command needs {subjects}",
        summary="the command or the code needs MLFLOW_RUN_ID, which only `mlflow run` sets",
        explanation=(
            "`mlflow run` gives the run it made to the command as MLFLOW_RUN_ID. Started by hand, the "
            "variable isn't there: the code crashes with a KeyError, or the shell fills in nothing. Found in "
            "the command's text, or in what the plain command crashed with."
        ),
        example='run_id = os.environ["MLFLOW_RUN_ID"]',
        fix="with mlflow.start_run() as run:   # joins that run, or makes one\n    run_id = run.info.run_id",
        noun="variable",
    ),
    Rule(
        slug="inner-run-environment",
        check="launches",
        severity="error",
        title="launches: an inner run asks for {subjects}",
        summary="the code calls `mlflow.run` without `env_manager`, and crashes for lack of conda or pyenv",
        explanation=(
            "mlflow.run() makes an environment for the project it runs, with conda, virtualenv and pyenv, or "
            "uv. That the outer `mlflow run` was given --env-manager=local doesn't hold for it."
        ),
        example='mlflow.run(".", entry_point="prepare")',
        fix='mlflow.run(".", entry_point="prepare", env_manager="local")',
        noun="manager",
    ),
    Rule(
        slug="file-outside-workspace",
        check="launches",
        severity="error",
        title="launches: not in the repository: {subjects}",
        summary="the code wants a file by a relative path that leads out of the repository",
        explanation=(
            "A launch runs in a copy of the repository around the project, or of the project alone where it "
            "lies in none, and so does whoever clones it. A relative path that leads out of it finds nothing "
            "there."
        ),
        example='pd.read_csv("../../shared/data.csv")',
        fix='parameters:\n  data: path\ncommand: "python train.py {data}"',
        noun="file",
    ),
    Rule(
        slug="autologging-failed",
        check="launches",
        severity="error",
        title="launches: autologging failed: {subjects}",
        summary="autologging gave up with a mere warning, and what it logs is missing",
        explanation=(
            'Autologging must not break the training, so it catches what goes wrong and warns: "Encountered '
            'unexpected error during … autologging". The launch ends with exit code 0 and lacks params, '
            "metrics or the model. Usually one param was logged before with another text, as `1` by `mlflow "
            "run` and `1.0` by autologging, and MLflow refuses all of them together."
        ),
        example="mlflow.sklearn.autolog()\nmodel = LogisticRegression(C=C)   # `mlflow run -P C=1` logged it",
        fix='parameters:\n  inverse_strength: float\ncommand: "python train.py {inverse_strength}"',
        supersedes=(
            "no-run-logged",
            "run-empty",
            "param-missing-in-fluent",
            "param-missing-in-mlflow-run",
            "param-differs",
            "metric-missing",
            "artifact-missing",
            "model-missing",
            "tag-missing",
        ),
        noun="flavor",
    ),
    Rule(
        slug="async-logging-failed",
        check="launches",
        severity="error",
        title="launches: refused to a thread: {subjects}",
        summary="MLflow refused what was logged with `synchronous=False`, and only the output says so",
        explanation=(
            "With synchronous=False a thread logs, and what MLflow refuses there becomes a line of output: "
            '"Failed to log run data". The launch ends with exit code 0, and more of the same call is '
            "missing: what stands behind it in a file store, all of it in a database. The callback of "
            "Hugging Face's Trainer logs all its arguments this way, num_train_epochs as `2.0` where "
            "`mlflow run` has logged `2`."
        ),
        example='mlflow.log_params({"epochs": 2.0, "lr": 0.1}, synchronous=False)   # "2" by `mlflow run`',
        fix='parameters:\n  passes: int\ncommand: "python train.py --epochs {passes}"',
        supersedes=(
            "no-run-logged",
            "run-empty",
            "param-missing-in-fluent",
            "param-missing-in-mlflow-run",
            "param-differs",
            "metric-missing",
            "metric-points-differ",
        ),
        noun="data",
    ),
)
