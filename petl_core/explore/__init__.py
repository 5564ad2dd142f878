"""Exploring models in JupyterLab: what stands behind ``notebooks/00_explore.ipynb``."""
