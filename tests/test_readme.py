"""The README is true where a test can hold it."""

import re
from pathlib import Path

from pytest_mlflow_check.contract.source import read_text
from pytest_mlflow_check.contract.writing import updated
from pytest_mlflow_check.rules import markdown_table

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_table_of_rules_is_that_of_the_code() -> None:
    found = re.search(r"<!-- rules -->\n(.*)\n<!-- /rules -->", README, re.DOTALL)
    assert found is not None
    assert found[1] == markdown_table(), "write into the README what `rules.markdown_table()` gives"


def test_the_contract_shown_is_one() -> None:
    found = re.search(r"## Contract\n.*?```yaml\n(.*?)```", README, re.DOTALL)
    assert found is not None
    read = read_text(Path("mlflow-contract.yaml"), found[1], ["main"])
    # Laid out as it is written, but for the remarks.
    assert re.sub(r" +#.*", "", found[1]) in updated(None, read.contract.cases)


def test_every_option_is_named(pytestconfig: object) -> None:
    from pytest_mlflow_check import options

    source = Path(options.__file__).read_text(encoding="utf-8")
    declared = set(re.findall(r'"(--mlflow-[a-z-]+)"', source))
    assert declared
    assert {option for option in declared if f"`{option}" not in README} == set()
