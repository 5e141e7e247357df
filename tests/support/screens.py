"""What a terminal shows, of the few sequences that matter here: enough of a VT100 to see lines torn."""

from __future__ import annotations

import re

_SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b([78D])|(.)", re.DOTALL)


class Screen:
    """A terminal of so many rows and columns."""

    def __init__(self, rows: int = 24, columns: int = 80) -> None:
        self.rows, self.columns = rows, columns
        self.gone: list[str] = []
        self._lines = [[" "] * columns for _ in range(rows)]
        self.row = self.column = 0
        self._saved = (0, 0)

    @property
    def text(self) -> str:
        """All lines, also those that have scrolled away."""
        shown = ["".join(line).rstrip() for line in self._lines]
        return "\n".join([*self.gone, *shown]).rstrip("\n")

    def feed(self, text: str) -> None:
        for arguments, command, plain, char in _SEQUENCE.findall(text):
            if plain == "7":
                self._saved = (self.row, self.column)
            elif plain == "8":
                self.row, self.column = self._saved
            elif plain == "D" or char == "\n":
                self._down()
            elif char == "\r":
                self.column = 0
            elif char:
                self._put(char)
            elif command == "A":
                self.row = max(0, self.row - int(arguments or 1))
            elif command == "K":
                start = {"2": 0}.get(arguments, self.column)
                self._lines[self.row][start:] = [" "] * (self.columns - start)
            elif command == "J":
                self._lines[self.row][self.column :] = [" "] * (self.columns - self.column)
                for row in range(self.row + 1, self.rows):
                    self._lines[row] = [" "] * self.columns
            else:
                # Colours take no room; anything else isn't known here.
                assert command == "m", repr((arguments, command))

    def _down(self) -> None:
        if self.row == self.rows - 1:
            self.gone.append("".join(self._lines.pop(0)).rstrip())
            self._lines.append([" "] * self.columns)
        else:
            self.row += 1

    def _put(self, char: str) -> None:
        if self.column == self.columns:
            self.column = 0
            self._down()
        self._lines[self.row][self.column] = char
        self.column += 1
