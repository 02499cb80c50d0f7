"""Reads what modules import and use, and says where that breaks the rules of the house.

Pure: sources in, violations out. Knows nothing of the file system; `test_layers` feeds it.
The rules are the constants at the top, in the words of docs/architecture.md.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

ORDER: Final[tuple[tuple[str, ...], ...]] = (
    ("errors",),
    ("limits",),
    ("ports",),
    ("ids",),
    ("keys",),
    ("record",),
    ("identity",),
    ("groups",),
    ("reconcile",),
    ("query",),
    ("store",),
    ("session",),
    ("signaling",),
    ("signaling.wire",),
    ("signaling.rendezvous",),
    ("engine", "transport", "signaling.address", "signaling.reach"),
    ("signaling.client",),
    ("node",),
    ("",),
    ("cli",),
    ("__main__",),
    ("testing",),
)
"""The places of `peerstack` in the order in which data flows; "" is `peerstack` itself. A module
imports only from its own place and from what stands before it, so peers in one step never meet."""

ONLY: Final = {"signaling": frozenset[str](), "signaling.wire": frozenset({"errors", "limits"})}
"""Places that may import these and nothing else of `peerstack`."""

IGNORANT_OF: Final = {
    "reconcile": frozenset({"record", "identity", "groups"}),
    "session": frozenset({"store"}),
    "transport": frozenset({"signaling", "signaling.wire", "signaling.rendezvous"}),
}
"""What stands before a place and is none of its business all the same."""

HOMES: Final = {
    "aiortc": "peerstack.transport.webrtc",
    "aioice": "peerstack.transport",
    "sqlalchemy": "peerstack.store",
    "alembic": "peerstack.store",
    "mnemonic": "peerstack.identity",
    "segno": "peerstack.node.qr",
    "socketio": "peerstack.signaling.client",
    "engineio": "peerstack.signaling.client",
}
"""The one place of `peerstack` that may import each of these libraries."""

AMBIENT: Final = (
    "asyncio",
    "concurrent.futures",
    "random",
    "secrets",
    "threading",
    "time",
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "nacl.public.PrivateKey.generate",
    "nacl.signing.SigningKey.generate",
    "nacl.utils.random",
    "os.getrandom",
    "os.urandom",
    "sqlalchemy.func.current_timestamp",
    "sqlalchemy.func.now",
    "sqlalchemy.func.random",
    "ulid.new",
    "uuid.uuid1",
    "uuid.uuid4",
)
"""Clocks, randomness and scheduling: they reach the engine through `ports` and events only."""

ASYNCIO_SHELLS: Final = frozenset(
    {
        "peerstack.transport.webrtc",
        "peerstack.transport.dialer",
        "peerstack.transport.memory",
        "peerstack.transport.probe",
        "peerstack.signaling.client",
    }
)
PURE_SERVER_MODULE: Final = "peerstack_server.rooms"
SERVER_SEES: Final = ("peerstack.signaling.wire", "peerstack.errors", "peerstack.limits")
"""What the server shares with devices: the wire between them, and what that stands on."""


RANK: Final = {place: rank for rank, step in enumerate(ORDER) for place in step}


@dataclass(frozen=True)
class Module:
    """One file of source under its dotted name."""

    name: str
    source: str
    is_package: bool = False


@dataclass(frozen=True)
class Use:
    """A dotted name that a module imports, or reaches through what it imported."""

    module: str
    line: int
    name: str


@dataclass(frozen=True)
class Violation:
    """A broken rule, and what to do about it."""

    use: Use
    advice: str

    def __str__(self) -> str:
        return f"{self.use.module}, line {self.use.line}: uses {self.use.name}; {self.advice}"


def violations(modules: Iterable[Module], public_names: Iterable[str]) -> list[Violation]:
    """Every broken rule in `modules`; `public_names` are those of `peerstack.__all__`."""
    modules, public = list(modules), frozenset(public_names)
    found = [_unplaced(module) for module in modules if _is_unplaced(module)]
    for module in modules:
        found += _violations_of(module, public)
    return found + _socketio_spread(use for module in modules for use in uses_of(module))


def uses_of(module: Module) -> list[Use]:
    """What `module` imports, anywhere and under TYPE_CHECKING too, and what it reaches by that."""
    tree = ast.parse(module.source)
    bindings = [found for node in ast.walk(tree) for found in _bindings(node, module)]
    known = {bound: full for bound, full, _ in bindings}
    reached = [
        Use(module.name, node.lineno, name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and (name := _dotted(node, known))
    ]
    return [use for _, _, use in bindings] + reached


def place_of(name: str) -> str:
    """The place of `peerstack` that a dotted name of it lies in; "" for `peerstack` itself."""
    parts = name.split(".")[1:]
    prefixes = (".".join(parts[:size]) for size in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in RANK), "")


def _bindings(node: ast.AST, module: Module) -> Iterator[tuple[str, str, Use]]:
    """The names that an import statement binds: the name, what it stands for, and the use."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            bound = alias.asname or alias.name.split(".")[0]
            full = alias.name if alias.asname else bound
            yield bound, full, Use(module.name, node.lineno, alias.name)
    elif isinstance(node, ast.ImportFrom):
        origin = _origin(node, module)
        for alias in node.names:
            full = f"{origin}.{alias.name}"
            yield alias.asname or alias.name, full, Use(module.name, node.lineno, full)


def _origin(node: ast.ImportFrom, module: Module) -> str:
    """The absolute name of the module that `from ... import` names, dots resolved."""
    if not node.level:
        return node.module or ""
    package = module.name.split(".")
    above = node.level - (1 if module.is_package else 0)
    base = package[: len(package) - above]
    return ".".join([*base, node.module] if node.module else base)


def _dotted(node: ast.expr, known: dict[str, str]) -> str | None:
    """The full name that an attribute chain reaches, if it starts at an imported name."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute) and (start := _dotted(node.value, known)):
        return f"{start}.{node.attr}"
    return None


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _violations_of(module: Module, public: frozenset[str]) -> list[Violation]:
    """Each broken rule once: what is reached through a refused import is not told again."""
    found: list[Violation] = []
    for use in uses_of(module):
        if not any(_within(use.name, told.use.name) for told in found):
            found += [Violation(use, advice) for advice in _broken(use, public)]
    return found


def _broken(use: Use, public: frozenset[str]) -> Iterator[str]:
    package = use.module.split(".")[0]
    if package == "peerstack":
        yield from _broken_in_framework(use)
    elif package == "peerstack_server":
        yield from _broken_in_server(use)
    elif package == "family_notes":
        yield from _broken_in_app(use, public)


def _broken_in_framework(use: Use) -> Iterator[str]:
    place = place_of(use.module)
    if _within(use.name, "peerstack"):
        yield from _broken_order(place, place_of(use.name))
    if _within(use.name, "peerstack_server") and not (
        place == "testing" and _within(use.name, PURE_SERVER_MODULE)
    ):
        yield f"only peerstack.testing imports the server, and of it only {PURE_SERVER_MODULE}"
    if _within(use.name, "family_notes"):
        yield "the framework knows no app"
    for library, home in HOMES.items():
        if _within(use.name, library) and not _within(use.module, home):
            yield f"only {home} may; ask it for what you need"
    if RANK[place] < RANK["node"] and use.module not in ASYNCIO_SHELLS:
        yield from _ambient(use.name)


def _broken_order(place: str, target: str) -> Iterator[str]:
    if target == place:
        return
    if RANK[target] >= RANK[place]:
        yield (
            f"'{target or 'peerstack'}' does not stand before '{place or 'peerstack'}'; "
            "move what both need to an earlier place, or take it as an argument"
        )
    elif target not in ONLY.get(place, RANK):
        yield f"'{place}' imports nothing but {sorted(ONLY[place])} of peerstack"
    elif target in IGNORANT_OF.get(place, ()):
        yield f"'{place}' is to know nothing of '{target}'; take what you need as an argument"


def _ambient(name: str) -> Iterator[str]:
    if any(_within(name, ambient) for ambient in AMBIENT):
        yield "below `node` time and randomness come in through `ports`, and nothing is scheduled"


def _broken_in_server(use: Use) -> Iterator[str]:
    if _within(use.name, "peerstack") and not any(_within(use.name, at) for at in SERVER_SEES):
        yield f"of the framework the server imports {', '.join(SERVER_SEES)} alone"
    if _within(use.name, "family_notes"):
        yield "the server knows no app"
    if use.module == PURE_SERVER_MODULE:
        yield from _ambient(use.name)


def _broken_in_app(use: Use, public: frozenset[str]) -> Iterator[str]:
    if _within(use.name, "peerstack_server"):
        yield "the app reaches the server through peerstack only"
    if use.name == "peerstack" or not _within(use.name, "peerstack"):
        return
    if use.name.split(".")[1] not in public:
        yield "the app uses public names of peerstack only, those in peerstack.__all__"


def _socketio_spread(uses: Iterable[Use]) -> list[Violation]:
    """The server imports socketio in one module; whichever comes second breaks the rule."""
    found = [
        use
        for use in uses
        if _within(use.module, "peerstack_server") and _within(use.name, "socketio")
    ]
    return [
        Violation(use, f"{found[0].module} is the one module of the server that may")
        for use in found
        if use.module != found[0].module
    ]


def _is_unplaced(module: Module) -> bool:
    return _within(module.name, "peerstack") and (
        module.name != "peerstack" and not place_of(module.name)
    )


def _unplaced(module: Module) -> Violation:
    return Violation(
        Use(module.name, 1, module.name),
        "it has no place yet: put it into ORDER in tests/architecture/import_rules.py, and into "
        "the list in docs/architecture.md",
    )
