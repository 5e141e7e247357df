"""The copy, the environment and the interpreter that a launch runs with."""
