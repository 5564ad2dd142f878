"""Image-text retrieval: similarities, ranks, and their uncertainty.

    checks       arrays that are non-empty, finite and of the expected shape
    scores       cosine similarities, which caption belongs to which image, top-k search
    ranks        tie-exact ranks, recalls, and the table of hits of each image
    intervals    bootstrap intervals and paired differences of such tables, over images
    over_seeds   the same over seeds and images; imported separately, as it needs scipy, which training does not
    classes, class_prediction   classes that filter or weight a ranking, and their prediction from embeddings

Shapes: N images, M captions; ``scores`` is (N, M); ``image_of[j]`` is the image to which caption j belongs.
"""

from petl_core.retrieval.intervals import bootstrap, paired_bootstrap
from petl_core.retrieval.ranks import Ranking, evaluate, metrics, per_image_hits, rank
from petl_core.retrieval.scores import equivalent, relevance, similarity, top_k

__all__ = [
    "Ranking",
    "bootstrap",
    "equivalent",
    "evaluate",
    "metrics",
    "paired_bootstrap",
    "per_image_hits",
    "rank",
    "relevance",
    "similarity",
    "top_k",
]
