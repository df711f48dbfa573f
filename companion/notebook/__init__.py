"""What only a notebook needs: to print, check, show, draw and play.

Nothing heavy is imported here; each function imports what it needs when it is called.
"""

from companion.notebook.checks import CheckFailed, check
from companion.notebook.formatting import latex, report
from companion.notebook.heatmap import attention_map
from companion.notebook.progressbar import Progress, progress
from companion.notebook.source import show
from companion.notebook.style import use_style
from companion.notebook.widgets import explore

__all__ = [
    "CheckFailed",
    "Progress",
    "attention_map",
    "check",
    "explore",
    "latex",
    "progress",
    "report",
    "show",
    "use_style",
]
