"""Exploring models in JupyterLab: the widgets of ``notebooks/00_explore.ipynb``.

choices       the models to choose from: finished runs, zero-shot CLIP, any open_clip model
opened        a model with the images and captions it searches, and what a question finds there
session       what all views share: the open model, the question, its answers; errors as one sentence
thumbnails    images as the browser takes them, with focus maps over them
cards, table  two small widgets: a clickable gallery, and a table in which one row is selected
choosing      view: open a model
searching     view: ask with a sentence or an image
comparing     view: two models side by side, with changes of rank marked
mapping       view: all embeddings on a plane
static        a gallery that works without a kernel
live          in the other notebooks: a plot that is redrawn for each choice

Views only display and ask; everything is computed by ``opened`` and the packages it imports.
"""
