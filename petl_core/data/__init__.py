"""A retrieval data set: images, their captions and scene labels, in a training and a test split.

    errors, layouts, images   the error for broken input; the two layouts on disk; image files
    scene_names, split        scene labels from file names; a data set in memory
    loading                   ``load``: a data set by name or path
    default_data, audit       sets that are drawn when first used; duplicates and leaks of a set
    scene_labels              scene labels in captions
    catalogue, verifying, converting, command   known data sets; checking one; converting one to the release's layout

Anything broken raises a ``DataError`` that names the file, the line and the remedy.
"""

from petl_core.data.images import read_image
from petl_core.data.loading import load
from petl_core.data.split import RetrievalData, Split, caption_key, split_validation
from petl_core.errors import DataError

__all__ = ["DataError", "RetrievalData", "Split", "caption_key", "load", "read_image", "split_validation"]
