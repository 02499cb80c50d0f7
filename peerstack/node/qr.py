"""Links as QR codes, for a terminal and for a page. Knows no link: it draws any text."""

from __future__ import annotations

from itertools import zip_longest
from typing import Final

from peerstack.errors import InvalidValue

_QUIET_MODULES: Final = 4
"""The light border that ISO/IEC 18004 asks for."""

_HALVES: Final = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}
_BLACK_ON_WHITE: Final = "\x1b[38;5;16;48;5;231m"
"""From the palette that themes leave alone, so that dark is dark whatever the terminal's colors."""

_PLAIN: Final = "\x1b[0m"


class QrCode:
    """A text as a QR code. As `str`, it is half blocks for dark text on a light page."""

    def __init__(self, text: str) -> None:
        self._rows = _rows_of(text)

    @property
    def width(self) -> int:
        """How many modules wide it is, with its border: columns in a terminal."""
        return len(self._rows[0])

    def __str__(self) -> str:
        pairs = zip_longest(self._rows[::2], self._rows[1::2], fillvalue=[0] * self.width)
        return "\n".join(
            "".join(_HALVES[cells] for cells in zip(upper, lower, strict=True))
            for upper, lower in pairs
        )

    def __repr__(self) -> str:
        # The text may be a link, which is a secret.
        return f"QrCode(width={self.width})"

    def terminal(self) -> str:
        """Half blocks in black on white by ANSI colors, for dark and light terminals alike."""
        return "\n".join(f"{_BLACK_ON_WHITE}{line}{_PLAIN}" for line in str(self).splitlines())

    def svg(self, module_px: int = 4) -> str:
        """An `<svg>` element for a page, black on white; each module is `module_px` pixels wide."""
        size = self.width
        dark = "".join(
            f"M{x} {y}h1v1h-1z"
            for y, row in enumerate(self._rows)
            for x, cell in enumerate(row)
            if cell
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" '
            f'width="{size * module_px}" height="{size * module_px}" shape-rendering="crispEdges">'
            f'<path fill="#fff" d="M0 0h{size}v{size}H0z"/><path d="{dark}"/></svg>'
        )


def _rows_of(text: str) -> list[list[int]]:
    """1 for dark and 0 for light, border included."""
    import segno

    try:
        code = segno.make_qr(text, error="l")
    except segno.DataOverflowError as error:
        raise InvalidValue(
            f"{len(text)} characters are too many for a QR code; pass on the text itself"
        ) from error
    except ValueError as error:
        raise InvalidValue(f"this text cannot be drawn as a QR code: {error}") from error
    return [list(row) for row in code.matrix_iter(border=_QUIET_MODULES)]


def qr(text: str) -> QrCode:
    """A text, such as an invite link, as a QR code. Raises `InvalidValue` for too long a text."""
    return QrCode(text)
