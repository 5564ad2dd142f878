"""A live cell: the plot above it, drawn again for whatever is chosen from menus and sliders.

It is live where a notebook is opened by Jupyter Server, as JupyterLab and Jupyter Notebook do: that starts each kernel
with the path of its notebook in ``JPY_SESSION_NAME``, from which ipykernel makes ``__session__``. papermill, nbval and
nbconvert start kernels without it, and nobody is there to choose: the cell then draws nothing and shows nothing, and no
parameter of the notebook has to say so. Under another front end that has widgets, set the variable to anything.
"""

import os
from collections.abc import Callable
from typing import Any

from ipywidgets import interactive

SESSION = "JPY_SESSION_NAME"


def live(draw: Callable[..., Any], **choices: Any) -> interactive | None:
    """A widget that draws anew after each choice, to be the last expression of a cell; None where nobody can choose.

    Args:
        draw: makes a pyplot figure; it is called with a value for each of its parameters. A parameter's default is what
            is chosen at first.
        choices: for each parameter of ``draw`` what ipywidgets makes a control of: a list of values or a mapping of
            labels to values for a menu, a tuple (lowest, highest) or (lowest, highest, step) for a slider. Underscores
            in their names are shown as spaces.
    """
    if not os.environ.get(SESSION):
        return None
    controls = interactive(draw, **choices)
    for control in controls.kwargs_widgets:
        control.description = control.description.replace("_", " ")
        control.style.description_width = "initial"
        if control.has_trait("continuous_update"):
            control.continuous_update = False  # a slider draws when it is let go
    return controls
