"""The contract: the recorded shape of what a case logs, committed beside the project.

`load` reads it, which collecting needs; `compare` holds launches to it; an update needs the others. So
nothing is imported here.
"""

FILE_NAME = "mlflow-contract.yaml"
"""The file, beside the MLproject; `workspace.SKIPPED` has it too, which may not look up here."""
