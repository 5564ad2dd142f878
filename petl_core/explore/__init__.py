"""Exploring models in JupyterLab, as in ``notebooks/00_explore.ipynb``.

state     without widgets: models to choose from, an open one, what a question finds there, the session of all views
widgets   the views: choose a model, search, compare two models, the map
live      in other notebooks: a plot that is redrawn for each choice
"""
