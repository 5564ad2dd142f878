"""The shape of a row of recalls, regardless of its level: growth from R@1 to R@10, and how the directions differ.

A filter by class gives a row a typical shape: it leaves about as many images as a class has, so that many of them reach
the top 10. So a printed row can be compared with our own tests, which assume different things to be known. A similar
shape proves nothing: data sets differ in the size of their classes, and models in their strength.
"""

import numpy as np
import pandas as pd

from petl_core.evaluation.names import METRICS
from petl_core.evaluation.published import printed_figures

RECALLS = [metric for metric in METRICS if metric != "mr"]


def printed_rows(dataset: str, methods: list[str]) -> pd.DataFrame:
    """Rows of ``data/published.csv`` by their methods, in this order; methods without a row are left out."""
    frame = printed_figures(dataset).set_index("method")
    return frame.loc[[method for method in methods if method in frame.index]].reset_index()


def recall_shapes(rows: pd.DataFrame) -> pd.DataFrame:
    """The shape of each row of recalls.

    Args:
        rows: with the columns of ``METRICS``, in percent and above 0, as in frames of :func:`comparison.summary` and
            of :func:`published.printed_figures`.

    Returns:
        For each row, ``i2t_growth`` and ``t2i_growth``, R@10 as a multiple of R@1; ``direction``, R@10 of text to
        image as a multiple of that of image to text; and ``distance`` from the first row, the root mean square over the
        six recalls as multiples of mR.
    """
    profile = rows[RECALLS].to_numpy(dtype=float) / rows[["mr"]].to_numpy(dtype=float)
    return pd.DataFrame(
        {
            "i2t_growth": rows["i2t_r10"] / rows["i2t_r1"],
            "t2i_growth": rows["t2i_r10"] / rows["t2i_r1"],
            "direction": rows["t2i_r10"] / rows["i2t_r10"],
            "distance": np.sqrt(np.mean((profile - profile[:1]) ** 2, axis=1)),
        }
    )


def readable_shapes(rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Recalls and :func:`recall_shapes` to print, with the names of the rows."""
    shapes = recall_shapes(rows)
    return pd.DataFrame(
        {
            "Row": names,
            **{title: [f"{value:.1f}" for value in rows[metric]] for metric, title in METRICS.items()},
            "I→T R@10 / R@1": [f"{value:.1f}" for value in shapes["i2t_growth"]],
            "T→I R@10 / R@1": [f"{value:.1f}" for value in shapes["t2i_growth"]],
            "R@10, T→I / I→T": [f"{value:.2f}" for value in shapes["direction"]],
            "Distance": [f"{value:.2f}" for value in shapes["distance"]],
        }
    )
