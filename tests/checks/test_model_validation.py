"""What is said of a model that fails a step of its validation: each reason told apart from the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_mlflow_check.checks.models import check_models
from pytest_mlflow_check.checks.predictions import difference
from pytest_mlflow_check.config.settings import Tolerance
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import (
    Caller,
    Launch,
    Model,
    ModelValidation,
    ModelVersion,
    Observation,
    RegisteredModel,
    StoreRecord,
)
from support.builders import compare, launch, model, run

WORKSPACE = Path("/area/fluent/workspace")
FIX_FILE = (
    'put it into the model, in log_model:  artifacts={"file": …}  and open it in the '
    'model\'s code by  context.artifacts["file"]'
)


def validated(one: Model, by: Caller = "code", **fields: Any) -> Launch:
    """A launch that logged one model, with what its validation says."""
    validation = ModelValidation(one.uri, **{"registered": True, "loaded": True, **fields})
    call = Observation("log_model", one.name, run_id="r1", by=by, source_line="train.py:9")
    return launch(
        "fluent",
        run(models=[one]),
        validations=[validation],
        observations=(call,),
        directory=WORKSPACE / "proj",
        workspace=WORKSPACE,
        origin=Path("/home/me/repo"),
    )


def said(*chain: str, one: Model | None = None, **fields: Any) -> tuple[str, str]:
    """Why it doesn't load, and the fix."""
    one = one or model("m")
    failed = {"loaded": False, "error": "".join(chain[:1]), "chain": chain, **fields}
    (finding,) = check_models(compare(validated(one, **failed)))
    assert (finding.rule, finding.subject, finding.source_line) == ("model-not-loadable", "m", "train.py:9")
    assert finding.why.startswith("m registers, but ")
    return finding.why.removeprefix("m registers, but "), finding.fix


def test_a_class_pickled_from_main() -> None:
    text = "AttributeError: Can't get attribute 'Net' on <module '__main__' from '/validator/__main__.py'>"
    assert said(text, module="__main__", lacks="Net") == (
        "Net was pickled from __main__: a pickle keeps only the name, and elsewhere train.py isn't __main__.",
        (
            "move Net into a module of its own (net.py), import it, and give the module to "
            "log_model:  code_paths=['net.py']"
        ),
    )


@pytest.mark.parametrize(
    ("file", "code"), [("train.py", "train.py"), ("src/net.py", "src/net.py"), ("pkg", "pkg/….py")]
)
def test_a_module_of_the_project(file: str, code: str) -> None:
    why = f"it needs the module x, which is {file} of the project and isn't in the model."
    fix = f"add it to code_paths in log_model:  code_paths=['{file}']"
    missing = {"module": "x", "module_file": file}
    assert said("ModuleNotFoundError: No module named 'x'", **missing) == (why, fix)
    # Only pyfunc takes models from code.
    pyfunc = replace(model("m"), loader="mlflow.pyfunc.model")
    fix += f"  or as models from code:  python_model='{code}'  with  mlflow.models.set_model(…)  in it"
    assert said("ModuleNotFoundError: No module named 'x'", one=pyfunc, **missing) == (why, fix)


def test_a_module_of_the_project_that_autologging_left_out() -> None:
    """There is no call of log_model to add anything to."""
    error = "ModuleNotFoundError: No module named 'x'"
    _, fix = said(error, by="autologging", module="x", module_file="x.py")
    calls = "autolog(log_models=False) and log_model(…, code_paths=['x.py'])"
    assert fix == f"log the model yourself:  {calls}  in train.py:9"


def test_a_directory_where_it_was_trained() -> None:
    made = f"{WORKSPACE}/proj/cache"
    why, fix = said(f"it made {made}", made=made)
    assert why.startswith("while it is loaded or predicts, it makes /home/me/repo/proj/cache: it writes to a")
    assert fix == ("let it write to a directory of its own, made in load_context:  tempfile.mkdtemp()")


def test_a_module_without_what_is_looked_for_in_it() -> None:
    text = "AttributeError: Can't get attribute 'Net' on <module 'net' from '/model/code/net.py'>"
    assert said(text, module="net", lacks="Net", module_file="net.py") == (
        "it needs Net of the module net, and the module that is found there hasn't got it.",
        "log it with the same version of the module that it was made with",
    )


def test_a_missing_requirement() -> None:
    assert said("ModuleNotFoundError: No module named 'humanize'", module="humanize") == (
        "it needs the module humanize, which isn't installed here and isn't in the model: a requirement is "
        "missing.",
        "install the package that has humanize, and name it in log_model:  extra_pip_requirements=[…]",
    )


@pytest.mark.parametrize(
    ("chain", "why"),
    [
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '/area/fluent/workspace/proj/out/w.txt'",
            "it holds the absolute path of out/w.txt, which is a file of the project's directory and not of "
            "the model.",
        ),
        (
            "LightGBMError: Could not open /area/fluent/workspace/w.txt",
            "it holds the absolute path of ../w.txt, which is a file of the project's directory and not of "
            "the model.",
        ),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: 'out/w.txt'",
            "it opens the path out/w.txt, a file that isn't in the model.",
        ),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '/data/w.txt'",
            "it opens the absolute path /data/w.txt, a file that isn't in the model.",
        ),
    ],
)
def test_a_file_outside_the_model(chain: str, why: str) -> None:
    assert said(chain) == (why, FIX_FILE)


def test_a_program_that_isnt_there() -> None:
    why, _ = said("FileNotFoundError: [Errno 2] No such file or directory: 'ffmpeg'")
    assert why == "it asks for ffmpeg, a program or file that isn't in the model."


def test_a_message_with_the_word_untrusted_isnt_of_skops() -> None:
    assert "as it would on another machine" in said("ValueError: bad config untrusted")[0]


def test_a_file_that_was_looked_for_first_doesnt_hide_the_module() -> None:
    chain = (
        "ModuleNotFoundError: No module named 'net'",
        "FileNotFoundError: No such file or directory: 'a'",
    )
    assert "the module net" in said(*chain, module="net", module_file="net.py")[0]


def test_the_network() -> None:
    chain = ("URLError: <urlopen error there is no network in this process, and example.org is asked for>",)
    why, fix = said(*chain, network=True)
    assert why.startswith("it asks for another machine while it is loaded.")
    assert fix == "download it in the training script, and put it into the model:  artifacts={…}"


def test_types_that_skops_doesnt_trust() -> None:
    assert said(
        "UntrustedTypesFoundException: Untrusted types found in the file: ['net.Link', 'net.Z']."
    ) == (
        "skops loads no types that aren't trusted by name.",
        ('once you have looked at them, trust them in log_model:  skops_trusted_types=["net.Link", "net.Z"]'),
    )


def test_a_loader_module_that_isnt_there() -> None:
    one = replace(model("m"), loader="myloader")
    assert said("ModuleNotFoundError", one=one, module="myloader", module_file="myloader.py") == (
        "its flavor python_function names the loader module myloader, which isn't in the model.",
        "put it into the model, in log_model:  code_paths=['myloader.py']",
    )


def test_a_custom_flavor_without_a_loader() -> None:
    one = model("m", flavors=["fancy"])
    why, fix = said("ModuleNotFoundError", one=one, module="mlflow.fancy")
    assert why == "its only flavor fancy is a custom one, which isn't in the model."
    assert "code_paths=['fancy.py']" in fix


def test_a_model_that_takes_its_process_along() -> None:
    why, _ = said(error="the process was killed by SIGSEGV")
    assert why == "the whole process ends with it: whoever serves it goes down too."


def test_a_model_that_hangs() -> None:
    assert said(error="it didn't end within 45 seconds") == (
        "it didn't end within 45 seconds.",
        "see what it waits for; or give it more time:  --mlflow-timeout=SECONDS",
    )


def test_any_other_reason() -> None:
    assert said("ValueError: no") == (
        "`models:/NAME/1` doesn't load as it would on another machine, without the project and the network.",
        "resolve what the message says; modules go into code_paths=[…], files into artifacts={…}",
    )


def test_details_name_the_files_of_the_user() -> None:
    text = "ValueError: /area/fluent/workspace/proj/a.txt is wrong"
    (finding,) = check_models(compare(validated(model("m"), loaded=False, error=text)))
    assert finding.detail == "ValueError: /home/me/repo/proj/a.txt is wrong"


def registered(*versions: ModelVersion, name: str = "net", **fields: Any) -> RegisteredModel:
    return RegisteredModel(name, versions, **fields)


def with_registry(
    one: Launch, *models: RegisteredModel, validations: tuple[ModelValidation, ...] = ()
) -> Launch:
    record = StoreRecord(one.runs, models)
    return replace(
        one,
        record=record,
        validations={**one.validations, **{validation.uri: validation for validation in validations}},
    )


def test_a_version_that_points_into_the_artifacts_of_a_run() -> None:
    version = ModelVersion("1", "file:///store/0/abc/artifacts/model")
    broken = ModelValidation(
        "models:/net/1", True, False, "MlflowException: No such artifact: ''", ("No such artifact",)
    )
    call = Observation("register_model", "net", source_line="train.py:12")
    one = launch("fluent", run(params={"a": "1"}), observations=(call,))
    (finding,) = check_models(compare(with_registry(one, registered(version), validations=(broken,))))
    assert finding == Finding(
        rule="model-not-loadable",
        subject="net, version 1",
        fluent="doesn't load",
        source_line="train.py:12",
        why="net, version 1 registers, but its source 'model' lies among the artifacts of a run, where "
        "MLflow 3 keeps no models: a logged model has a place of its own (models:/m-…).",
        fix='register what log_model gives, info:  mlflow.register_model(info.model_uri, "net")',
        detail="MlflowException: No such artifact: ''",
    )


# What loads, and can't be used


def test_a_signature_that_rejects_its_own_example() -> None:
    chain = ("MlflowException: Failed to enforce schema of data",)
    one = validated(model("m"), predicted=False, error=chain[0], chain=chain)
    (finding,) = check_models(compare(one))
    assert (finding.rule, finding.fluent, finding.detail) == (
        "model-rejects-example",
        "doesn't predict",
        chain[0],
    )
    assert finding.why.startswith("m loads, but its signature rejects the input example")


def test_code_that_fails_with_its_own_example() -> None:
    one = validated(model("m"), predicted=False, error="KeyError: 'x'", chain=("KeyError: 'x'",))
    (finding,) = check_models(compare(one))
    assert finding.why == "m loads, but predict() fails with the input example that it was logged with."


def test_what_is_only_missed_when_it_predicts() -> None:
    chain = ("ModuleNotFoundError: No module named 'clean'",)
    one = validated(
        model("m"), predicted=False, error=chain[0], chain=chain, module="clean", module_file="clean.py"
    )
    (finding,) = check_models(compare(one))
    assert (finding.rule, finding.why, finding.fix) == (
        "model-rejects-example",
        "m loads, but when it predicts, it needs the module clean, which is clean.py of the project and "
        "isn't in the model.",
        "add it to code_paths in log_model:  code_paths=['clean.py']",
    )


def test_a_model_that_asks_a_service_isnt_tried() -> None:
    assert check_models(compare(validated(model("m"), predicted=False, error="URLError", network=True))) == []


def test_requirements_that_arent_met_or_not_named() -> None:
    one = validated(
        model("m"),
        unmet=(("scikit-learn==0.24", "1.9.1"), ("gone==1", None)),
        unlisted=("humanize",),
    )
    (finding,) = check_models(compare(one))
    assert finding.rule == "model-requirements-wrong"
    assert finding.fluent == (
        "scikit-learn==0.24, installed: 1.9.1; gone==1, installed: not at all; "
        "needs humanize, doesn't ask for it"
    )
    (finding,) = check_models(compare(validated(model("m"), unlisted=("humanize",))))
    assert finding.fix == "name it in log_model:  extra_pip_requirements=['humanize']"
    (finding,) = check_models(compare(validated(model("m"), unmet=(("gone", None),))))
    assert finding.fix.startswith("install what it asks for")


def test_a_model_that_answers_differently_each_time_isnt_compared() -> None:
    assert both(predicting(None), predicting(None)) == []


def both(one: ModelValidation, other: ModelValidation, **settings: Any) -> list[Finding]:
    record = run(models=[model("m")])
    sides = launch("fluent", record, validations=[one]), launch("mlflow-run", record, validations=[other])
    return check_models(compare(*sides, **settings))


def predicting(prediction: Any, example: str = "e") -> ModelValidation:
    return ModelValidation("models:/m-m", True, True, predicted=True, prediction=prediction, example=example)


def test_another_prediction() -> None:
    assert both(predicting([[0.5, 1.0]]), predicting([[0.5, 2.0]])) == [
        Finding(
            rule="prediction-differs",
            subject="m",
            fluent="[0][1]: 1.0",
            mlflow_run="[0][1]: 2.0",
            why="The two models answer the same input example differently.",
            fix="train the same model whatever the launch mode; or say how far, with prediction_tolerance",
        )
    ]
    assert both(predicting([1.0]), predicting([2.0]), prediction_tolerance={"rel": 0.5}) == []
    (finding,) = both(predicting([1.0]), predicting([2.0], example="other"))
    assert finding.why == "The two models were logged with different input examples, and answer differently."


NAN = float("nan")


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ([1.0, NAN], [1.0 + 1e-9, NAN], None),
        ([1.0], [1.1], ("[0]: 1.0", "[0]: 1.1")),
        ([1, 2], [1], ("2 values", "1 values")),
        ({"a": [1]}, {"a": [1]}, None),
        ({"a": [1]}, {"b": [1]}, ("a", "b")),
        ({"a": [1, "x"]}, {"a": [1, "y"]}, ("['a'][1]: x", "['a'][1]: y")),
        ([None], [0.0], ("[0]: None", "[0]: 0.0")),
        (NAN, 1.0, ("nan", "1.0")),
        ([True], [1], None),
        ("a", ["a"], ("a", "['a']")),
    ],
)
def test_where_predictions_differ(one: Any, other: Any, found: tuple[str, str] | None) -> None:
    assert difference(one, other, Tolerance(rel=1e-6)) == found


# What the code registers itself

FLUENT = launch("fluent", run(params={"a": "1"}))
MLFLOW_RUN = launch("mlflow-run", run(params={"a": "1"}))


def registries(ours: list[RegisteredModel], theirs: list[RegisteredModel], **settings: Any) -> list[Finding]:
    sides = with_registry(FLUENT, *ours), with_registry(MLFLOW_RUN, *theirs)
    return check_models(compare(*sides, **settings))


def test_the_same_registered_in_both() -> None:
    # The source is another one each time.
    one = registered(ModelVersion("1", "models:/m-1", aliases=("a",), tags={"mlflow.x": "1"}))
    other = registered(ModelVersion("1", "models:/m-2", aliases=("a",)))
    assert registries([one], [other]) == []


def test_ids_of_runs_and_models_differ_by_their_nature() -> None:
    def lineage(digit: str) -> list[RegisteredModel]:
        tags = {"run_id": digit * 32, "model": f"m-{digit * 32}"}
        return [registered(ModelVersion("1", tags=tags, description=f"trained in {digit * 32}"))]

    sides = [
        replace(
            launch(mode, run(digit * 32, params={"a": "1"})), record=StoreRecord(runs, tuple(lineage(digit)))
        )
        for mode, digit, runs in (("fluent", "a", (run("a" * 32),)), ("mlflow-run", "b", (run("b" * 32),)))
    ]
    assert check_models(compare(*sides)) == []


def test_a_name_in_one_launch() -> None:
    (finding,) = registries([registered(ModelVersion("1"))], [])
    assert (finding.rule, finding.subject) == ("registered-model-missing", "net")
    assert (finding.fluent, finding.mlflow_run) == ("1 version", None)
    assert registries([registered(ModelVersion("1"))], [], ignore={"models": ["n*"]}) == []


@pytest.mark.parametrize(
    ("one", "other", "what", "shown"),
    [
        (
            registered(ModelVersion("1"), ModelVersion("2")),
            registered(ModelVersion("1")),
            "versions",
            ("2 versions", "1 version"),
        ),
        (
            registered(ModelVersion("1", aliases=("best",))),
            registered(ModelVersion("1")),
            "aliases",
            ("best: version 1", None),
        ),
        (
            registered(ModelVersion("1", tags={"team": "a", "x": "1"})),
            registered(ModelVersion("1", tags={"team": "b", "x": "1"})),
            "tags",
            ("version 1: team=a", "version 1: team=b"),
        ),
        (registered(tags={"team": "a"}), registered(), "tags", ("team=a", None)),
        (registered(description="a"), registered(description="b"), "descriptions", ("a", "b")),
    ],
)
def test_a_name_that_differs(
    one: RegisteredModel, other: RegisteredModel, what: str, shown: tuple[str, str | None]
) -> None:
    (finding,) = registries([one], [other])
    assert (finding.rule, finding.why) == (
        "registered-model-differs",
        f"The {what} of the registered model differ.",
    )
    assert (finding.fluent, finding.mlflow_run) == shown
