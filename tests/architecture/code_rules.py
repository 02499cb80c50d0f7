"""Reads what sources call, and says where data could be run as code.

Pure: sources in, findings out. Knows nothing of the file system; `test_no_code_from_data` feeds it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from tests.architecture.import_rules import Module, uses_of

BUILTINS: Final = frozenset({"__builtins__", "__import__", "compile", "eval", "exec"})
"""What runs text as code; not to be named at all, called or not."""

REFUSED: Final = (
    "asyncio.create_subprocess_shell",
    "builtins",
    "cloudpickle",
    "code",
    "codeop",
    "ctypes",
    "dill",
    "importlib.machinery",
    "importlib.util",
    "joblib",
    "jsonpickle",
    "marshal",
    "os.popen",
    "os.system",
    "pickle",
    "pty",
    "runpy",
    "shelve",
    "sqlalchemy.PickleType",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "yaml",
)
"""Modules and names that run what they are given, or can be made to; and all that is in them."""

FAMILIES: Final = ("os.exec", "os.spawn", "os.posix_spawn")
"""How the names begin by which a program is run in other ways than through `asyncio`."""

METHODS: Final = frozenset({"create_subprocess_shell", "subprocess_shell"})


def runs_data(module: Module) -> list[str]:
    """Where a module could run data as code: a line for each, with its place."""
    tree = ast.parse(module.source)
    found = [*_named(tree), *_reached(module), *_shells(tree), *_imports(module, tree)]
    return [f"{module.name}, line {line}: {what}" for line, what in sorted(found)]


def _named(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in BUILTINS:
            yield node.lineno, node.id


def _reached(module: Module) -> Iterator[tuple[int, str]]:
    for use in uses_of(module):
        refused = any(f"{use.name}.".startswith(f"{name}.") for name in REFUSED)
        if refused or use.name.startswith(FAMILIES):
            yield use.line, use.name


def _shells(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Calls that may hand a line to a shell: `shell` is left out, or False in so many letters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in METHODS:
            yield node.lineno, node.attr
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg == "shell" and not _is_false(keyword.value):
                    yield node.lineno, "shell=..."


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _imports(module: Module, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Uses of `import_module` but for calls with a name that stands in the source."""
    fine = {
        node.func
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _names_a_module(node, tree)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "import_module" and node not in fine:
            yield node.lineno, "import_module with a computed name"
    for use in uses_of(module):
        if use.name == "importlib.import_module" and use.line in _import_lines(tree):
            yield use.line, "import_module under a name of its own"


def _names_a_module(call: ast.Call, tree: ast.Module) -> bool:
    match call.args:
        case [ast.Constant(value=str())]:
            return not call.keywords
        case [ast.Name(id=name)]:
            return not call.keywords and _stands_in_a_table(name, tree)
    return False


def _stands_in_a_table(name: str, tree: ast.Module) -> bool:
    """Whether a name is bound once, by a loop over the keys of a table that is written out."""
    bound = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name]
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For)]
    return [type(node.ctx) for node in bound].count(ast.Store) == 1 and any(
        ast.unparse(loop.target).strip("()").split(",")[0] == name
        and ast.unparse(loop.iter) in {f"{table}.items()" for table in _written_out(tree)}
        for loop in loops
    )


def _written_out(tree: ast.Module) -> Iterator[str]:
    """The names of the module's dictionaries that consist of nothing but literals."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            try:
                ast.literal_eval(node.value)
            except ValueError:
                continue
            yield ast.unparse(node.targets[0])


def _import_lines(tree: ast.Module) -> set[int]:
    return {node.lineno for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
