"""What is received is data: nothing that is shipped could run it as code.

In the original, what peers sent was evaluated.
"""

from __future__ import annotations

import pytest

from tests.architecture.code_rules import runs_data
from tests.architecture.import_rules import Module
from tests.architecture.project import ROOT, name_of

SHIPPED = ("peerstack", "server", "demo_app")

BAD = {
    "eval": "eval(text)",
    "eval, not called": "handlers = {'message': eval}",
    "exec": "exec(text)",
    "compile": "compile(text, 'peer', 'exec')",
    "an import of a received name": "__import__(name)",
    "the builtins by their module": "import builtins\nbuiltins.eval(text)",
    "the builtins by their name": "__builtins__['eval'](text)",
    "pickle": "import pickle\npickle.loads(data)",
    "pickle, by one name": "from pickle import loads",
    "pickle, inside a function": "def late():\n    import pickle as store",
    "marshal": "import marshal",
    "shelve": "import shelve",
    "a column of pickles": "import sqlalchemy as sa\nsa.Column(sa.PickleType)",
    "yaml": "import yaml\nyaml.load(text)",
    "a module run by name": "import runpy\nrunpy.run_path(path)",
    "a module loaded from a path": "from importlib.util import spec_from_file_location",
    "a computed module": "import importlib\nimportlib.import_module(name)",
    "a module by a format": "import importlib\nimportlib.import_module(f'plugins.{name}')",
    "import_module under another name": "from importlib import import_module as load\nload(name)",
    "import_module, not called": "import importlib\nload = importlib.import_module",
    "a module from a table that grows": (
        "import importlib\nTABLE = {'a': 1}\nfor name in TABLE: importlib.import_module(name)\n"
        "name = received"
    ),
    "a module from a table that is computed": (
        "import importlib\nTABLE = {received: 1}\n"
        "for name, _ in TABLE.items(): importlib.import_module(name)"
    ),
    "os.system": "import os\nos.system(line)",
    "os.popen": "from os import popen",
    "os.execvp": "import os\nos.execvp(name, words)",
    "a shell": "import subprocess\nsubprocess.run(line, shell=True)",
    "perhaps a shell": "import subprocess\nsubprocess.run(line, shell=wanted)",
    "a shell of asyncio": "import asyncio\nasyncio.create_subprocess_shell(line)",
    "a shell of a loop": "loop.subprocess_shell(factory, line)",
    "a shell's output": "import subprocess\nsubprocess.getoutput(line)",
}

GOOD = {
    "a pattern": "import re\nre.compile(text)",
    "a method of that name": "query.compile(dialect=dialect)",
    "an import by a literal name": "import importlib\nimportlib.import_module('json')",
    "a module from a table that is written out": (
        "import importlib\nTABLE = {'a': 1}\n"
        "for name, _ in TABLE.items(): importlib.import_module(name)"
    ),
    "a program with its words apart": "import asyncio\nasyncio.create_subprocess_exec(*words)",
    "no shell": "import subprocess\nsubprocess.run(words, shell=False)",
    "json": "import json\njson.loads(text)",
    "a literal": "import ast\nast.literal_eval('1')\nast.parse(text)",
}


def test_nothing_that_is_shipped_can_run_data_as_code() -> None:
    sources = [path for name in SHIPPED for path in sorted((ROOT / name).rglob("*.py"))]
    modules = [Module(name_of(path), path.read_text(encoding="utf-8")) for path in sources]

    assert {module.name.split("/")[0] for module in modules} == set(SHIPPED)
    assert [found for module in modules for found in runs_data(module)] == []


@pytest.mark.parametrize("source", BAD.values(), ids=BAD)
def test_the_check_finds(source: str) -> None:
    assert runs_data(Module("peerstack.session.peer", source))


@pytest.mark.parametrize("source", GOOD.values(), ids=GOOD)
def test_the_check_accepts(source: str) -> None:
    assert runs_data(Module("peerstack.session.peer", source)) == []


def test_what_is_found_is_named_with_its_place() -> None:
    source = "import json\nvalue = eval(text)"

    assert runs_data(Module("peerstack.session.peer", source)) == [
        "peerstack.session.peer, line 2: eval"
    ]
