"""A retrieval data set: images, their captions and scene labels, in a training and a test split.

    split, layouts, images      a data set in memory; ``load``, by name or path; the reader of image files
    scene_labels                scene labels from file names, and in captions
    default_data, catalogue     sets that are drawn when first used; sets that are known by name
    audit                       duplicates, leaks, and the ceilings that they set
    verifying, converting       checking a set; converting one to the release's layout (command: from the shell)

Anything broken raises a ``DataError`` that names the file, the line and the remedy.
"""

from petl_core.data.images import read_image
from petl_core.data.layouts import load
from petl_core.data.split import RetrievalData, Split, caption_key, split_validation
from petl_core.errors import DataError

__all__ = ["DataError", "RetrievalData", "Split", "caption_key", "load", "read_image", "split_validation"]
