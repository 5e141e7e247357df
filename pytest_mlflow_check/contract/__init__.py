"""The contract: the recorded shape of what a case logs, committed beside the project."""

from __future__ import annotations

from pytest_mlflow_check.contract.comparing import judge_contract
from pytest_mlflow_check.contract.logged import View
from pytest_mlflow_check.contract.making import contract_of
from pytest_mlflow_check.contract.merging import merged
from pytest_mlflow_check.contract.shape import CaseContract, Contract
from pytest_mlflow_check.contract.source import FILE_NAME, Source, read_contract
from pytest_mlflow_check.contract.writing import save, updated

__all__ = [
    "FILE_NAME",
    "CaseContract",
    "Contract",
    "Source",
    "View",
    "contract_of",
    "judge_contract",
    "merged",
    "read_contract",
    "save",
    "updated",
]
