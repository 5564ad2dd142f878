"""A live cell: the plot above it, redrawn for what is chosen from menus and sliders.

It is live when a notebook is opened through Jupyter Server, as by JupyterLab and Jupyter Notebook, which starts each
kernel with the path of its notebook in ``JPY_SESSION_NAME``, from which ipykernel makes ``__session__``. papermill,
nbval and nbconvert start kernels without it. Nobody can choose there, so the cell draws and shows nothing, and needs no
parameter of the notebook to say so. Under another front end that has widgets, set the variable to anything.
"""

import inspect
import io
import os
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
from ipywidgets import HBox, Image, VBox, interactive
from matplotlib.figure import Figure

SESSION = "JPY_SESSION_NAME"
SHARPNESS = 2  # pixels of the picture per pixel on the page


def live(draw: Callable[..., Figure], **choices: Any) -> VBox | None:
    """Controls and the plot that they change, as the last expression of a cell; None where nobody can choose.

    The plot is sent as a picture: JupyterLab does not attribute to a cell what is displayed after the cell has ended.

    Args:
        draw: makes a pyplot figure; it is called with a value for each of its parameters. A parameter's default is the
            initial choice.
        choices: for each parameter of ``draw``, what :class:`ipywidgets.interactive` turns into a control: a list of
            values or a mapping from labels to values for a menu, a tuple (lowest, highest) or (lowest, highest, step)
            for a slider. Underscores in their names are shown as spaces.

    Raises:
        TypeError: the names of ``choices`` are not those of ``draw``'s parameters.
    """
    if not os.environ.get(SESSION):
        return None
    inspect.signature(draw).bind(**choices)
    controls = {}
    for name, parameter in inspect.signature(draw).parameters.items():
        control = interactive.widget_from_abbrev(choices[name], parameter.default)
        control.description, control.style.description_width = name.replace("_", " "), "initial"
        if control.has_trait("continuous_update"):
            control.continuous_update = False  # redraw when the slider is released
        controls[name] = control
    picture = Image(format="png", layout={"max_width": "100%"})

    def redraw(_change: Any = None) -> None:
        figure = draw(**{name: control.value for name, control in controls.items()})
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=SHARPNESS * figure.dpi)
        picture.layout.width = f"{figure.get_figwidth() * figure.dpi:.0f}px"
        picture.value = content.getvalue()
        plt.close(figure)

    for control in controls.values():
        control.observe(redraw, "value")
    redraw()
    return VBox([HBox(list(controls.values()), layout={"flex_flow": "row wrap"}), picture])
