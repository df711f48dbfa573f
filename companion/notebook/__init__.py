"""What only a notebook needs: to print, check, show, draw, train and play.

Nothing heavy is imported here; each function imports what it needs when it is called.
"""

from companion.notebook.board import play
from companion.notebook.checks import CheckFailed, catches, check
from companion.notebook.drawing import Drawing
from companion.notebook.formatting import latex, report
from companion.notebook.graph import draw_graph
from companion.notebook.hardware import hardware
from companion.notebook.heatmap import attention_map
from companion.notebook.progressbar import Progress, progress
from companion.notebook.source import show
from companion.notebook.stopping import Stoppable, stop_button, stoppable
from companion.notebook.style import use_style
from companion.notebook.widgets import explore

__all__ = [
    "CheckFailed",
    "Drawing",
    "Progress",
    "Stoppable",
    "attention_map",
    "catches",
    "check",
    "draw_graph",
    "explore",
    "hardware",
    "latex",
    "play",
    "progress",
    "report",
    "show",
    "stop_button",
    "stoppable",
    "use_style",
]
