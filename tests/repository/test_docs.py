"""The documents are true where a test can hold them."""

from __future__ import annotations

import re
import runpy
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from inline_snapshot import snapshot

from pytest_mlflow_check.config.settings import ProjectConfig
from pytest_mlflow_check.contract.load import read_text
from pytest_mlflow_check.contract.save import updated
from pytest_mlflow_check.rules import RULES
from support.documents import ROOT, Command, blocks, changed, commands, fits, walk

DOCS = ROOT / "docs"
GENERATE: dict[str, Any] = runpy.run_path(str(DOCS / "generate.py"), run_name="generate")
DOCUMENTS: list[Path] = [*GENERATE["documents"](), ROOT / "CHANGELOG.md", ROOT / "SECURITY.md"]

TUTORIAL = [DOCS / "tutorial" / f"{name}.md" for name in ("index", "params", "model", "contract")]


def name(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_generated_parts_are_what_the_code_says(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert GENERATE["generated"](text) == text, "python docs/generate.py"


def test_every_part_stands_somewhere() -> None:
    texts = "".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    assert {part for part in GENERATE["PARTS"] if f"<!-- generated: {part} -->" not in texts} == set()


def test_every_rule_has_its_section() -> None:
    text = (DOCS / "reference" / "rules.md").read_text(encoding="utf-8")
    assert re.findall(r"^### (.*)$", text, re.MULTILINE) == list(RULES)
    assert re.findall(r"^\| \[`(.*)`\]\(#\1\)", text, re.MULTILINE) == list(RULES)
    assert re.findall(r"^\*(\w+)\*", text, re.MULTILINE) == [rule.severity for rule in RULES.values()]
    assert "```text" not in text, "generate.py doesn't know the language of an example"


def test_every_setting_has_its_section() -> None:
    text = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) == set(ProjectConfig.model_fields)


def test_the_contract_shown_is_one() -> None:
    page = DOCS / "how-to" / "contract.md"
    shown = next(block.text for block in blocks(page) if block.language == "yaml")
    read = read_text(Path("mlflow-contract.yaml"), shown, ["main"])
    # Laid out as it is written, but for the remarks.
    assert re.sub(r" +#.*", "", shown) in updated(None, read.contract.cases)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_between_files_lead_somewhere(document: Path) -> None:
    """The build holds those within `docs/`; this also those of other files, as the repository has them."""
    text = document.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_page_is_in_the_navigation() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    sections = [value for section in config["nav"] for value in section.values()]
    pages = {page for section in sections for page in ([section] if isinstance(section, str) else section)}
    assert pages == {document.relative_to(DOCS).as_posix() for document in DOCS.rglob("*.md")}


# What holds of the walk itself


@pytest.mark.parametrize(
    ("expected", "printed", "whether"),
    [
        (["one", "two"], "one\ntwo\n", True),
        (["one"], "one\ntwo\n", False),
        (["one", "two"], "one\n", False),
        (["one", "…"], "one\ntwo\nthree\n", True),
        (["…", "three"], "one\ntwo\nthree\n", True),
        (["…", "two", "…"], "one\ntwo\nthree\n", True),
        (["…", "two", "…", "two"], "one\ntwo\n", False),
        (["…", "two", "…", "two"], "one\ntwo\ntwo\n", True),
        (["one", "…", "two", "three"], "one\nthree\ntwo\nthree\n", True),
        (["in … s"], "in 2.5 s\n", True),
        (["in … s"], "in 2.5 h\n", False),
        (["a [b]", ""], "a [b]   \n\n", True),
        (["…"], "", True),
    ],
)
def test_an_output_fits_what_is_shown(expected: Sequence[str], printed: str, whether: bool) -> None:
    assert fits(expected, printed) is whether


def test_a_change_fits_in_one_place() -> None:
    assert changed("a\n\nb\nc\n", " a\n\n-b\n+x\n+y\n c\n") == snapshot("""\
a

x
y
c
""")
    for text in ("a\n", "b\nb\n"):
        with pytest.raises(ValueError, match=r"it fits \d times, not once"):
            changed(text, "-b\n")


def test_commands_and_what_they_print() -> None:
    assert list(commands("$ one\n1\n\n1\n$ two\n")) == [Command("one", ("1", "", "1")), Command("two", ())]


def test_a_walk_tells_what_is_not_as_it_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("support.documents.ROOT", tmp_path)
    page, place = tmp_path / "page.md", tmp_path / "place"
    place.mkdir()
    page.write_text(
        '```text title="file.txt"\none\ntwo\n```\n'
        '```diff title="file.txt"\n-two\n+three\n```\n'
        "```console\n$ cat file.txt\none\n…\n$ cat file.txt\none\ntwo\n$ false\n```\n"
        '```diff title="file.txt"\n-four\n```\n'
    )
    assert list(walk([page], place, tmp_path)) == [
        "page.md:9: $ cat file.txt\nshown:\none\ntwo\nprinted (exit code 0):\none\nthree\n",
        "page.md:9: $ false\nshown:\nprinted (exit code 1):\n",
        "page.md:18: the change of file.txt: it fits 0 times, not once",
    ]


# The walks


def _walked(documents: Sequence[Path], place: Path, home: Path) -> None:
    home.mkdir()
    if wrong := "\n\n".join(walk(documents, place, home)):
        pytest.fail(wrong, pytrace=False)


@pytest.mark.heavy
@pytest.mark.launch
def test_the_tutorial_walks_from_an_empty_directory(tmp_path: Path) -> None:
    place = tmp_path / "iterate"
    place.mkdir()
    _walked(TUTORIAL, place, tmp_path / "home")


@pytest.mark.heavy
@pytest.mark.launch
def test_a_project_starts_as_shown(tmp_path: Path) -> None:
    place = tmp_path / "training"
    place.mkdir()
    _walked([DOCS / "how-to" / "start.md"], place, tmp_path / "home")


@pytest.mark.heavy
@pytest.mark.launch
def test_cached_launches_are_as_shown(tmp_path: Path) -> None:
    place = shutil.copytree(ROOT / "example_project", tmp_path / "example_project")
    _walked([DOCS / "how-to" / "launch-cache.md"], place, tmp_path / "home")


@pytest.mark.launch
def test_the_readme_shows_what_is_printed(tmp_path: Path) -> None:
    stage = Path("tests", "projects", "stage4")
    shutil.copytree(ROOT / stage, tmp_path / "place" / stage)
    _walked([ROOT / "README.md"], tmp_path / "place", tmp_path / "home")
