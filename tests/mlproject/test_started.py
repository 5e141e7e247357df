"""What a command starts and names, as its text tells."""

from __future__ import annotations

import pytest

from pytest_mlflow_check.mlproject.started import named_by


def starts(command: str) -> list[tuple[str, str, str]]:
    """Kind, name and directory of all that a command starts."""
    return [(one.kind, one.name, one.directory) for one in named_by(command).starts]


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python train.py --lr {lr}", "train.py"),
        ("python3 -u -W ignore src/train.py", "src/train.py"),
        ("CUDA_VISIBLE_DEVICES=0 time python3.11 train.py", "train.py"),
        ("venv/bin/python train.py", "train.py"),
        ("mpirun -np 4 python train.py", "train.py"),
        ("conda run -n env python train.py", "train.py"),
        ("torchrun --nproc_per_node 2 train.py --lr 1", "train.py"),
        ("python -m torch.distributed.launch --nproc_per_node=2 train.py", "train.py"),
        ("papermill in.ipynb out.ipynb -p a {a}", "in.ipynb"),
        ("bash -ex train.sh {a}", "train.sh"),
        ("./train.sh", "./train.sh"),
        ("Rscript --vanilla train.R", "train.R"),
        ("python \\\n  train.py \\\n  --lr {lr}\n", "train.py"),
        ("python train.py > log.txt 2>&1", "train.py"),
        ("python 'train.py' # as it was", "train.py"),
        ("echo start && python train.py", "train.py"),
    ],
)
def test_scripts(command: str, name: str) -> None:
    assert starts(command) == [("script", name, "")]


@pytest.mark.parametrize(
    "command",
    [
        *(
            "ls",
            "",
            "python",
            "python -c 'import x' y.py",
            "python -",
            "python {script}",
            "python $HOME/x.py",
        ),
        *("python *.py", 'python "unfinished.py', "bash -c 'x.sh'", "bash -lc 'python x.py && y.sh'", "{a"),
        *(
            "echo python train.py",
            "docker run image python train.py",
            "which python x.py",
            "python --what x.py",
        ),
        *("python a.py || python b.py", "$(which python) train.py", "for i in 1 2; do python t.py; done"),
        *("if true; then python t.py; fi", "(cd x && python t.py)", "python <<EOF\nx\nEOF", "Rscript -e x.R"),
        *(
            "cd {dir} && python t.py",
            "cd $X; python t.py",
            "cd /opt && python t.py",
            "torchrun --standalone t.py",
        ),
        *("source venv/bin/activate", "python -m pip install x.py", "git clone x"),
    ],
)
def test_what_tells_nothing(command: str) -> None:
    assert starts(command) == []


def test_modules() -> None:
    assert starts("python -m pkg.train --lr 1") == [("module", "pkg.train", "")]
    assert starts("python -um pkg") == [("module", "pkg", "")]


def test_directories() -> None:
    assert starts("cd src && python train.py && cd .. ; bash x.sh") == [
        ("script", "train.py", "src"),
        ("script", "x.sh", "."),
    ]


def test_what_may_have_been_made_before() -> None:
    command = "python a.py && git clone x && python x/b.py"
    assert [(one.name, one.sure) for one in named_by(command).starts] == [("a.py", True), ("x/b.py", False)]


def test_options() -> None:
    command = "python t.py --lr={lr} -v pos -5 --{a} 2 --no-x '--a b' --wide-{b} x -- --behind"
    (start,) = named_by(command).starts
    assert list(start.options) == ["--lr", "-v", "--no-x"]


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("python t.py --config conf/a.yaml --data b.csv", ["conf/a.yaml"]),
        ("python t.py --model-cfg=a.json --config_path x.toml", ["x.toml", "a.json"]),
        ("python t.py --config {config} --config-name base", []),
        ("python t.py --save-config out.yaml --log-config l.yaml --output o.yaml", []),
        ("python t.py --config s3://b/a.yaml --config a=b.yaml,c", []),
        ("python make.py && python t.py --config made.yaml", []),
        ("pip install -r requirements.txt && python t.py --config a.yaml", ["requirements.txt", "a.yaml"]),
        ("python -m pip install -r requirements.txt", ["requirements.txt"]),
        ("wget x && pip install -r requirements.txt", []),
    ],
)
def test_files(command: str, files: list[str]) -> None:
    assert [one.path for one in named_by(command).files] == files
