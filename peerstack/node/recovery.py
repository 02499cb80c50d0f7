"""Phrase and kit while all is well: showing and confirming the one, writing and reading the other.

A word of the phrase is shown to who asks for all of it, and in no error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from peerstack import limits
from peerstack.engine import Engine, Turn, recovering
from peerstack.errors import (
    InvalidKit,
    InvalidValue,
    LocalError,
    StoreError,
    StoreFull,
)
from peerstack.identity import (
    Kit,
    decode_untrusted_kit,
    is_kit,
    kit_key_of,
    seal_kit,
)
from peerstack.identity.phrase import check_words, decode_untrusted_phrase, words_of
from peerstack.keys import Secret
from peerstack.node import whole
from peerstack.node.keyfile import KeyFile
from peerstack.node.shell import Shell


class Recovery:
    """What one open profile does about its recovery."""

    def __init__(self, key_file: KeyFile, engine: Engine, shell: Shell) -> None:
        self._key_file = key_file
        self._engine = engine
        self._shell = shell
        self._mark = key_file.mark()

    async def phrase(self) -> list[str]:
        """See `Node.recovery_phrase`."""
        return words_of(await self._seed())

    async def confirm(self, words: Mapping[int, str]) -> None:
        """See `Node.confirm_recovery`."""
        check_words(await self._seed(), words)
        await asyncio.to_thread(self._key_file.forget_recovery)
        await self._shell.perform(recovering.confirmed)

    async def write_kit(self, path: Path) -> None:
        """See `Node.write_kit`."""
        content = await self._shell.perform(recovering.kit_content)
        await asyncio.to_thread(self._write_kit, path, content)
        await self._shell.perform(lambda turn: recovering.kit_written(turn, content))

    def refresh(self) -> None:
        """Forget the seed here too where another process has erased it. On the engine's thread."""
        if self._engine.me.user.recovery is None or self._key_file.mark() == self._mark:
            return
        self._mark = self._key_file.mark()
        with suppress(LocalError, StoreError):
            if self._key_file.read().user.recovery is None:
                recovering.forget_seed(self._engine.me)

    async def _seed(self) -> Secret:
        def look(turn: Turn) -> Secret:
            self.refresh()
            return recovering.present_seed(turn)

        return await self._shell.perform(look)

    def _write_kit(self, path: Path, content: recovering.KitContent) -> None:
        if path.exists() and not is_kit(_read_bounded(path)):
            raise InvalidValue(f"{path} is there, and is no recovery kit; choose another name")
        if not path.parent.is_dir():
            raise InvalidValue(f"there is no folder {path.parent} to write a recovery kit into")
        data = seal_kit(
            content.kit_key, content.statements, content.whereabouts, self._key_file.entropy
        )
        try:
            whole.replace(path, data)
        except OSError as error:
            raise StoreFull(f"cannot write the recovery kit {path}: {error.strerror}") from error


def read_kit(path: str | Path, phrase: str | Sequence[str]) -> Kit:
    """What a recovery kit says, opened with its phrase: whose it is, and which devices it knows.

    Raises `InvalidPhrase` or `InvalidKit`.
    """
    seed = decode_untrusted_phrase(phrase)
    try:
        data = _read_bounded(Path(path))
    except OSError as error:
        raise InvalidKit(f"cannot read the recovery kit {path}: {error.strerror}") from error
    return decode_untrusted_kit(data, kit_key_of(seed))


def _read_bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(limits.KIT_BYTES + 1)
