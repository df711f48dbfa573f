"""Dropdowns take ``:class:``, as every other box does, for hints and solutions."""

from __future__ import annotations

from docutils.parsers.rst import directives
from sphinx_design.dropdown import DropdownDirective


class Dropdown(DropdownDirective):
    """A dropdown whose option ``class`` names its kind."""

    option_spec = DropdownDirective.option_spec | {"class": directives.class_option}

    def run_with_defaults(self):
        """Build the dropdown, with the class on its outer element."""
        kinds = self.options.pop("class", [])
        self.options["class-container"] = self.options.get("class-container", []) + kinds
        return super().run_with_defaults()


def setup(app) -> dict:
    """Register the directive in place of the original."""
    app.setup_extension("sphinx_design")
    app.add_directive("dropdown", Dropdown, override=True)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
