"""A retrieval data set: images, their captions and scene labels, in a training and a test split.

    errors, layouts, images   one error of broken input; the two layouts on disk; image files
    scene_names, split        scene labels of file names; what all of it becomes in memory
    loading                   ``load``: a data set by name or path
    default_data, audit       sets that are drawn when first asked for; what duplicates and leaks a set has
    scene_labels              scene labels in captions
    catalogue, verifying, converting, command   known data sets; one checked; one brought into the release's layout

Whatever is broken raises one ``DataError`` that names the file, the line and the remedy.
"""

from petl_core.data.errors import DataError
from petl_core.data.images import read_image
from petl_core.data.loading import load
from petl_core.data.split import RetrievalData, Split, caption_key, split_validation

__all__ = ["DataError", "RetrievalData", "Split", "caption_key", "load", "read_image", "split_validation"]
