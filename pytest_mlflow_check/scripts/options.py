"""The options that a script takes, where its text tells all of them for certain; nothing where it doesn't.

A script that reads its command line in any other way than plainly (a parser that others add to, subcommands,
`parse_known_args`, names that are computed) may take more than can be read, and has no answer here.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_mlflow_check.scripts.cli import argparse, click, typer
from pytest_mlflow_check.scripts.model import Start
from pytest_mlflow_check.scripts.static_eval import Code, decorators, keywords

OTHER_PARSERS = {
    "hydra": "hydra",
    "absl.flags": "absl",
    "absl.app": "absl",
    "fire": "fire",
    "jsonargparse": "jsonargparse",
    "tyro": "tyro",
    "simple_parsing": "simple-parsing",
    "docopt": "docopt",
    "argh": "argh",
    "baker": "baker",
    "clize": "clize",
    "cyclopts": "cyclopts",
    "defopt": "defopt",
    "draccus": "draccus",
    "plac": "plac",
    "pyrallis": "pyrallis",
    "sacred": "sacred",
    "tap": "typed-argument-parser",
    "lightning.pytorch.cli": "LightningCLI",
    "pytorch_lightning.cli": "LightningCLI",
    "transformers.HfArgumentParser": "HfArgumentParser",
}
"""What else reads command lines, by what is imported, and what people call it."""

_PARSER_SETTINGS = {
    *("prog", "usage", "description", "epilog", "formatter_class", "add_help", "allow_abbrev"),
    *("conflict_handler", "argument_default", "exit_on_error", "suggest_on_error", "color"),
}
_PARSER_METHODS = {
    *("add_argument", "add_argument_group", "add_mutually_exclusive_group", "parse_args", "set_defaults"),
    *("get_default", "print_help", "print_usage", "format_help", "format_usage", "error", "exit"),
}
_GROUPS = ("add_argument_group", "add_mutually_exclusive_group")
_COMMAND_SETTINGS = {
    *("name", "help", "short_help", "epilog", "no_args_is_help", "hidden", "deprecated", "add_help_option"),
    "rich_help_panel",
}
_DECORATORS = ("option", "argument", "pass_context", "pass_obj", "version_option", "help_option")
_APP_SETTINGS = {
    "name",
    "help",
    "short_help",
    "epilog",
    "no_args_is_help",
    "add_completion",
    "rich_markup_mode",
}
_CALLED_WITH = {"obj", "prog_name"}
_COMPLETION = {"--install-completion", "--show-completion"}
_CONTAINERS = ("Optional", "Union", "List", "list", "Tuple", "tuple", "Sequence", "Literal", "Set", "set")
_PLAIN_TYPES = {
    "int",
    "float",
    "str",
    "bool",
    "None",
    "Path",
    "pathlib.Path",
    "datetime.datetime",
    "uuid.UUID",
}


@dataclass(frozen=True)
class Options:
    """The options of a script, in all spellings.

    Attributes:
        names: `--learning-rate`, `-l`, `--no-cache`.
        abbreviated: whether the start of a long one stands for it.
    """

    names: frozenset[str]
    abbreviated: bool = False

    def takes(self, option: str) -> bool:
        """Whether a word of the command line, such as `--lr=0.1`, can be one of these."""
        name = option.partition("=")[0]
        if name in self.names or (self.abbreviated and any(one.startswith(name) for one in self.names)):
            return True
        # `-j4` and `-xvf` begin with an option of one letter; so may words that click takes for such.
        return not name.startswith("--") and any(len(one) == 2 and name.startswith(one) for one in self.names)


def options_of(code: Code) -> Options | None:
    """The options that a script takes when it is started; None where its text doesn't tell all of them."""
    if any(code.imports_any(module) or module in code.imports.values() for module in OTHER_PARSERS):
        return None
    parsers = [name for name in ("argparse", "click", "rich_click", "typer") if code.imports_any(name)]
    readers = {"argparse": _of_argparse, "click": _of_click, "rich_click": _of_click, "typer": _of_typer}
    tree = _Tree.of(code)
    if len(parsers) != 1 or _catches_exit(tree) or _uses_argv(tree):
        return None
    return readers[parsers[0]](tree)


@dataclass(frozen=True)
class _Tree:
    """A script, with what each node stands in."""

    code: Code
    parents: Mapping[int, ast.AST]

    @staticmethod
    def of(code: Code) -> _Tree:
        """The tree of a script."""
        nodes = ast.walk(code.tree)
        return _Tree(code, {id(child): node for node in nodes for child in ast.iter_child_nodes(node)})

    def parent(self, node: ast.AST) -> ast.AST:
        """What a node stands in; the node itself at the top."""
        return self.parents.get(id(node), node)

    def function(self, node: ast.AST) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """The function that a node stands in."""
        while not isinstance(node, ast.Module):
            node = self.parents[id(node)]
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                return node
        return None

    def calls(self, name: str) -> list[ast.Call]:
        """The calls of a function by its plain name."""
        return [call for call in self.code.all(ast.Call) if self.code.name(call.func) == name]


def _catches_exit(tree: _Tree) -> bool:
    """Whether a script may go on after its parser has refused the command line."""
    if any(handler.type is None for handler in tree.code.all(ast.ExceptHandler)):
        return True
    return any(
        node.id in ("SystemExit", "BaseException")
        and not any(isinstance(one, ast.Raise) for one in (tree.parent(node), tree.parent(tree.parent(node))))
        for node in tree.code.all(ast.Name)
    )


def _uses_argv(tree: _Tree) -> bool:
    """Whether a script looks at its command line itself, or changes it."""
    code = tree.code
    nodes: list[ast.expr] = [*code.all(ast.Attribute), *code.all(ast.Name)]
    for node in nodes:
        if code.name(node) != "sys.argv":
            continue
        parent = tree.parent(node)
        if isinstance(parent, ast.Subscript) and isinstance(parent.ctx, ast.Load):
            if code.value(parent.slice) == 0 or (
                _is_all_arguments(code, parent) and isinstance(tree.parent(parent), ast.Call)
            ):
                continue
        elif isinstance(parent, ast.Call) and code.name(parent.func) == "len":
            continue
        return True
    return False


def _is_all_arguments(code: Code, node: ast.expr) -> bool:
    """Whether an expression is `sys.argv[1:]`."""
    return (
        isinstance(node, ast.Subscript)
        and code.name(node.value) == "sys.argv"
        and isinstance(node.slice, ast.Slice)
        and code.value(node.slice.lower) == 1
        and node.slice.upper is None
        and node.slice.step is None
    )


def _flags(starts: list[Start]) -> frozenset[str]:
    return frozenset(flag for start in starts for one in start.arguments for flag in one.flags)


def _of_argparse(tree: _Tree) -> Options | None:
    code = tree.code
    made = tree.calls("argparse.ArgumentParser")
    if len(made) != 1 or not _has_only(made[0], _PARSER_SETTINGS):
        return None
    uses = _ParserUses(tree, made[0])
    if not uses.plain or not uses.parsing or not all(_parses_everything(tree, call) for call in uses.parsing):
        return None
    silent: set[str] = set()
    for call in code.all(ast.Call):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument":
            given, names = keywords(call), [code.value(one) for one in call.args]
            nargs = code.name(given.get("nargs")) or code.value(given.get("nargs"))
            if (
                not all(isinstance(name, str) for name in names)
                or any(one.arg is None for one in call.keywords)
                or str(nargs).endswith(("REMAINDER", "PARSER", "..."))
            ):
                return None
            # The reader leaves out what only prints.
            silent |= {str(name) for name in names if str(name).startswith("-")}
    return Options(_flags(argparse.starts(code)) | silent | {"-h", "--help"}, abbreviated=True)


class _ParserUses:
    """All uses of the only parser of a script, by whichever name, in its own functions.

    Attributes:
        plain: whether each of them is one that adds nothing that can't be read.
        parsing: the calls of `parse_args`.
    """

    def __init__(self, tree: _Tree, made: ast.Call) -> None:
        self.plain = True
        self.parsing: list[ast.Call] = []
        self._tree = tree
        self._functions = {one.name: one for one in tree.code.all(ast.FunctionDef)}
        self._seen: set[int] = set()
        self._waiting: list[ast.AST] = [made]
        while self._waiting:
            node = self._waiting.pop()
            if id(node) not in self._seen:
                self._seen.add(id(node))
                self.plain = self._note(node) and self.plain

    def _note(self, node: ast.AST) -> bool:
        """Follows one expression that is the parser or a group of it; False where it gets out of sight."""
        parent = self._tree.parent(node)
        if isinstance(parent, ast.Attribute):
            call = self._tree.parent(parent)
            if (
                parent.attr not in _PARSER_METHODS
                or not isinstance(call, ast.Call)
                or call.func is not parent
            ):
                return False
            if parent.attr == "parse_args":
                self.parsing.append(call)
            elif parent.attr in _GROUPS:
                self._waiting.append(call)
            return True
        if isinstance(parent, (ast.Assign, ast.AnnAssign)):
            targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            for name in names:
                self._follow_name(name)
            return len(names) == len(targets)
        if isinstance(parent, ast.Return):
            function = self._tree.function(parent)
            self._waiting += self._tree.calls(function.name) if function else []
            return True
        if isinstance(parent, ast.Call):
            return self._handed_on(parent, node)
        return isinstance(parent, ast.Expr)

    def _follow_name(self, name: str) -> None:
        names = self._tree.code.all(ast.Name)
        self._waiting += [one for one in names if one.id == name and isinstance(one.ctx, ast.Load)]

    def _handed_on(self, call: ast.Call, node: ast.AST) -> bool:
        """Follows the parser into a function of the script."""
        function = self._functions.get(call.func.id) if isinstance(call.func, ast.Name) else None
        if function is None or function.decorator_list:
            return False
        taken = [*function.args.posonlyargs, *function.args.args]
        named = [one.arg for one, given in zip(taken, call.args, strict=False) if given is node]
        for name in named:
            self._follow_name(name)
        return bool(named)


def _has_only(call: ast.Call, names: set[str]) -> bool:
    """Whether a call gives nothing by name but these."""
    return all(one.arg in names for one in call.keywords)


def _parses_everything(tree: _Tree, call: ast.Call) -> bool:
    """Whether a call of `parse_args` reads what the script was given, and is made when that is started."""
    code, function = tree.code, tree.function(call)
    if not _has_only(call, {"args", "namespace"}) or len(call.args) > 2:
        return False
    given = call.args[0] if call.args else keywords(call).get("args")
    parameters = {one.arg for one in (*function.args.args, *function.args.kwonlyargs)} if function else set()
    if (
        given is not None
        and not (isinstance(given, ast.Constant) and given.value is None)
        and not _is_all_arguments(code, given)
        and not (isinstance(given, ast.Name) and given.id in parameters)
    ):
        return False
    called = {code.name(one.func).rpartition(".")[2] for one in code.all(ast.Call)}
    return function is None or function.name in called


def _of_click(tree: _Tree) -> Options | None:
    code = tree.code
    commands = [
        function
        for function in code.all(ast.FunctionDef)
        if any(name.endswith(("command", "group")) for name, _ in decorators(code, function))
    ]
    if (
        len(commands) != 1
        or not _is_plain_command(code, commands[0])
        or not _is_called(tree, commands[0].name)
    ):
        return None
    own = {"-h", "--help", "--version"}
    for name, call in decorators(code, commands[0]):
        if name.endswith(("version_option", "help_option")):
            own |= {str(code.value(one)) for one in call.args}
    return Options(_flags(click.starts(code)) | own)


def _is_plain_command(code: Code, function: ast.FunctionDef) -> bool:
    for name, call in decorators(code, function):
        owner, _, what = name.rpartition(".")
        if owner not in ("click", "rich_click"):
            return False
        if what == "command":
            if not _has_only(call, _COMMAND_SETTINGS):
                return False
        elif (
            what not in _DECORATORS
            or any(one.arg in (None, "cls") for one in call.keywords)
            or not all(isinstance(code.value(one), str) for one in call.args)
        ):
            return False
    return True


def _is_called(tree: _Tree, name: str) -> bool:
    """Whether a script calls a function or an app, and leaves the command line to it."""
    calls = tree.calls(name)
    return bool(calls) and all(not call.args and _has_only(call, _CALLED_WITH) for call in calls)


def _of_typer(tree: _Tree) -> Options | None:
    code = tree.code
    apps = tree.calls("typer.Typer")
    run = tree.calls("typer.run")
    functions = {one.name: one for one in code.all(ast.FunctionDef)}
    if run:
        name = code.name(run[0].args[0]) if len(run) == 1 and len(run[0].args) == 1 and not apps else ""
        function = functions.get(name)
    else:
        function = _only_command(tree, apps, functions)
    starts = typer.starts(code)
    if function is None or len(starts) != 1 or not _has_plain_signature(code, function):
        return None
    return Options(_flags(starts) | _COMPLETION | {"--help"})


def _only_command(
    tree: _Tree, apps: list[ast.Call], functions: dict[str, ast.FunctionDef]
) -> ast.FunctionDef | None:
    """The function of an app that has one command and nothing else."""
    code = tree.code
    assigned = [node for node in code.all(ast.Assign) if node.value in apps]
    if len(apps) != 1 or len(assigned) != 1 or not _has_only(apps[0], _APP_SETTINGS):
        return None
    app = code.name(assigned[0].targets[0])
    methods = [node for node in code.all(ast.Attribute) if code.name(node.value) == app]
    if [one.attr for one in methods] != ["command"] or not _is_called(tree, app):
        return None
    for function in functions.values():
        for name, call in decorators(code, function):
            if name == f"{app}.command":
                plain = len(function.decorator_list) == 1 and _has_only(call, _COMMAND_SETTINGS)
                return function if plain else None
    return None


def _has_plain_signature(code: Code, function: ast.FunctionDef) -> bool:
    """Whether the parameters of a function say themselves what options they are."""
    taken = function.args
    if taken.vararg or taken.kwarg:
        return False
    annotations = [one.annotation for one in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs)]
    defaults = [one for one in (*taken.defaults, *taken.kw_defaults) if one is not None]
    return all(_is_plain_type(code, one) for one in annotations) and all(
        _is_plain_default(code, one) for one in defaults
    )


def _is_plain_type(code: Code, node: ast.expr | None) -> bool:
    if node is None or isinstance(node, ast.Constant):
        return node is None or node.value is None
    if isinstance(node, ast.BinOp):
        return _is_plain_type(code, node.left) and _is_plain_type(code, node.right)
    if isinstance(node, ast.Subscript):
        name = code.name(node.value).rpartition(".")[2]
        inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if name == "Annotated":
            rest = (isinstance(one, ast.Constant) or _describes_all(code, one) for one in inside[1:])
            return _is_plain_type(code, inside[0]) and all(rest)
        return name == "Literal" or (name in _CONTAINERS and all(_is_plain_type(code, one) for one in inside))
    return code.name(node) in {*_PLAIN_TYPES, *code.enumerations, "typer.Context"}


def _describes_all(code: Code, node: ast.expr) -> bool:
    """Whether an expression is `typer.Option(…)` or `typer.Argument(…)` with spellings that can be read."""
    return (
        isinstance(node, ast.Call)
        and code.name(node.func) in ("typer.Option", "typer.Argument")
        and all(one.arg is not None for one in node.keywords)
        and all(isinstance(code.value(one), str) for one in node.args)
    )


def _is_plain_default(code: Code, node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        if code.name(node.func) not in ("typer.Option", "typer.Argument"):
            return code.name(node.func) in _PLAIN_TYPES
        spellings = node.args[1:]
        named = all(one.arg is not None for one in node.keywords)
        return named and all(isinstance(code.value(one), str) for one in spellings)
    if isinstance(node, ast.Attribute):
        return any(code.name(node).startswith(f"{name}.") for name in code.enumerations)
    return not isinstance(node, ast.Name) or node.id in code.constants
