"""Exploring in JupyterLab: plots that follow a choice."""
