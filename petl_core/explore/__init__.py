"""Exploring models in JupyterLab: what stands behind ``notebooks/00_explore.ipynb``.

choices       what one may search with: finished runs, zero-shot CLIP, any open_clip model
opened        a model with the images and captions it searches, and what a question finds there
session       what all views share: the opened model, the question, its answers; errors as one sentence
thumbnails    images as the browser takes them, with focus maps over them
cards, table  two small widgets: a gallery that is clicked, a table of which a row is chosen
choosing      the view that opens a model
searching     the view that asks with a sentence or an image
comparing     the view of two models side by side, ranks that changed marked
mapping       the view of all embeddings on a plane
static        a gallery without a kernel behind it
live          in the other notebooks: a plot drawn again for whatever is chosen

Views show and ask; what is computed, is computed in ``opened`` and the rooms above.
"""
