"""Numbers of a record in a sentence: what roles like ``verified`` and ``speed`` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from docutils import nodes
from sphinx.util.docutils import SphinxRole


class Quoted(SphinxRole):
    """One number of the records of a kind, by its name; an unknown name is a warning."""

    RECORDS: ClassVar[tuple[Path, ...]]

    def numbers(self, root: Path) -> dict[str, str]:
        """Return what a sentence may quote, of the records of the book in a folder."""
        raise NotImplementedError

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the number as text."""
        root = Path(self.env.srcdir)
        for path in self.RECORDS:
            self.env.note_dependency(str(root / path))
        numbers = self.numbers(root)
        if self.text not in numbers:
            message = f"{self.name}: {self.text!r} is none of {', '.join(numbers)}"
            return [], [self.inliner.reporter.warning(message, line=self.lineno)]
        return [nodes.Text(numbers[self.text])], []
