"""Running a launch: sandbox, supervisor, fork server, observer, model validation."""
