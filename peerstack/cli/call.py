"""One call of a command: the options that all commands share, and the profile that they name."""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import click

import peerstack
from peerstack.cli.output import Output

T = TypeVar("T")
Decorated = TypeVar("Decorated", bound=Callable[..., Any])

PERSONAL: Final = "personal"
_TERMINATED: Final = 128 + signal.SIGTERM


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked for besides the command's own arguments."""

    path: Path
    """The profile's database."""
    output: Output
    servers: tuple[str, ...] = ()
    """Signaling servers to remember, from now on."""
    _typed: list[str] = field(default_factory=list, repr=False)
    """The passphrase that was typed, so that nobody is asked for it twice."""

    @asynccontextmanager
    async def open(
        self,
        *,
        create: bool = False,
        network: bool = False,
        name: str | None = None,
        passphrase: str | None = None,
    ) -> AsyncIterator[peerstack.Node]:
        """The profile, opened; made if it may be (`create`), and then it is said where."""
        fresh = not self.exists()
        if fresh and not create:
            raise peerstack.NotFound(
                f"there is no profile at {self.path}; `peerstack init` makes one, --profile and "
                "PEERSTACK_PROFILE choose another"
            )
        name = (name or login_name()) if fresh else None
        async with AsyncExitStack() as stack:
            node = await self._enter(stack, name, network, passphrase)
            if fresh:
                self.output.note(f"made a profile for {node.user.name!r}: {self.path}")
            yield node

    def exists(self) -> bool:
        """Whether there is a profile, or a part of one."""
        from peerstack.node.keyfile import path_of

        return self.path.exists() or path_of(self.path).exists()

    async def _enter(
        self, stack: AsyncExitStack, name: str | None, network: bool, passphrase: str | None
    ) -> peerstack.Node:
        given = passphrase or os.environ.get("PEERSTACK_PASSPHRASE") or None
        given = self._typed[-1] if self._typed else given

        def opening(passphrase: str | None) -> Any:
            return peerstack.open(self.path, name, self.servers, passphrase, network=network)

        try:
            return await stack.enter_async_context(opening(given))
        except peerstack.ProfileLocked as error:
            if given is not None:
                raise
            if not sys.stdin.isatty():
                raise peerstack.ProfileLocked(f"{error} in PEERSTACK_PASSPHRASE") from error
        asked: str = click.prompt("Passphrase", hide_input=True, err=True)
        node: peerstack.Node = await stack.enter_async_context(opening(asked))
        self._typed.append(asked)
        return node


def run(work: Coroutine[Any, Any, T]) -> T:
    """Do it on an event loop; SIGINT and SIGTERM end it cleanly."""
    with asyncio.Runner() as runner:
        return runner.run(_until_terminated(work))


async def _until_terminated(work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.current_task()
    assert task is not None
    terminated = False

    def terminate() -> None:
        nonlocal terminated
        terminated = True
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
    try:
        return await work
    except asyncio.CancelledError:
        if terminated:
            sys.exit(_TERMINATED)
        raise


class Command(click.Command):
    """A command that takes what all take, and turns each error into one line.

    Its function gets a `Call` as `call`, and its own arguments.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params += [
            click.Option(
                ["-p", "--profile"],
                envvar="PEERSTACK_PROFILE",
                default="default",
                metavar="PATH_OR_NAME",
                help="The profile: a name, or the path of a database.  [env: PEERSTACK_PROFILE]",
            ),
            click.Option(["--json"], is_flag=True, help="Print JSON, one object a line."),
            click.Option(["-q", "--quiet"], is_flag=True, help="Print results and errors only."),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the function with a `Call`."""
        params = ctx.params
        output = Output(params.pop("json"), params.pop("quiet"))
        path = profile_path(params.pop("profile"))
        params["call"] = Call(path, output, params.pop("server", ()))
        try:
            return super().invoke(ctx)
        except peerstack.PeerstackError as error:
            raise Failure(output, error) from error


class Listing(click.Group):
    """Commands about things of one kind. Without the name of one, `list` is meant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `list` in front of what names no command."""
        named = args[:1] and args[0] in (*self.commands, *ctx.help_option_names)
        return super().parse_args(ctx, args if named else ["list", *args])


class Failure(click.ClickException):
    """An error of peerstack as a command ends with it."""

    exit_code = 1

    def __init__(self, output: Output, error: peerstack.PeerstackError) -> None:
        super().__init__(str(error))
        self._output = output
        self._kind = type(error).__name__

    def show(self, file: Any = None) -> None:
        """Print it."""
        self._output.error(self._kind, self.message)


def group_option(command: Decorated) -> Decorated:
    """`--group`, for commands that work in one group."""
    return click.option(
        "-g",
        "--group",
        metavar="NAME_OR_ID",
        help="The group; by default the only shared one, else your personal one.",
    )(command)


def server_option(command: Decorated) -> Decorated:
    """`--server`, for commands that have to do with meeting others."""
    return click.option(
        "--server",
        multiple=True,
        envvar="PEERSTACK_SERVER",
        metavar="URL",
        help="A signaling server to meet others by; remembered.  [env: PEERSTACK_SERVER]",
    )(command)


def makes_profile(group: str | None) -> bool:
    """Whether a first write may make the profile: a new one has no group but the personal one."""
    return group in (None, PERSONAL)


async def chosen_group(node: peerstack.Node, wanted: str | None) -> peerstack.Group:
    """The group that `--group` names, or the default.

    One that its user is not in any more has to be named; what was here of it can still be read.
    """
    if wanted == PERSONAL:
        return node.personal
    if wanted is not None:
        former = [each for each in await node.former_groups() if wanted in (each.id, each.name)]
        try:
            return await node.group(wanted)
        except peerstack.NotFound:
            if len(former) != 1:
                raise
            return former[0]
    shared = await node.groups()
    return shared[0] if len(shared) == 1 else node.personal


async def chosen_member(groups: Sequence[peerstack.Group], wanted: str) -> peerstack.Member:
    """Somebody of these groups, by id, or by a name that only one of them has.

    Raises `NotFound`.
    """
    known = {member.user: member for group in groups for member in await group.members()}
    matching = [each for each in known.values() if wanted in (each.user, each.name)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        ids = ", ".join(member.user for member in matching)
        raise peerstack.NotFound(f"{len(matching)} people are named {wanted!r}; say which: {ids}")
    raise peerstack.NotFound(f"nobody here is {wanted!r}; `peerstack members` lists who is")


def chosen_device(devices: Sequence[peerstack.DeviceInfo], wanted: str) -> peerstack.DeviceInfo:
    """One of one's own devices, by id, or by a name that only one of them has.

    Raises `NotFound`.
    """
    matching = [each for each in devices if wanted in (each.id, each.name)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        ids = ", ".join(device.id for device in matching)
        raise peerstack.NotFound(f"{len(matching)} devices are named {wanted!r}; say which: {ids}")
    raise peerstack.NotFound(f"you have no device {wanted!r}; `peerstack devices` lists yours")


def group_label(group: peerstack.Group) -> str:
    """What a group is called when shown."""
    return group.name or PERSONAL


def profile_path(text: str) -> Path:
    """The database of a profile: by its path, or by a name where the platform keeps such data."""
    if os.sep in text or text.endswith(".db"):
        return Path(text).expanduser()
    from platformdirs import user_data_path

    return user_data_path("peerstack", appauthor=False) / f"{text}.db"


def new_passphrase() -> str:
    """The passphrase to seal new keys under: from the environment, or asked for twice."""
    given = given_passphrase()
    if given:
        return given
    asked: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    return asked


def given_passphrase() -> str | None:
    """The passphrase that the environment gives."""
    return os.environ.get("PEERSTACK_PASSPHRASE") or None


def login_name() -> str:
    """What the system calls whoever runs this."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "me"
