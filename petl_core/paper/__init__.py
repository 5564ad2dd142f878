"""The published tables by one command, ``python -m petl_core paper rsitmd``.

    sections   the two sections of study.yaml behind them, for one data set and backbone
    costs      what their runs will take, measured here with one step of each kind
    checks     what must be right before anything is trained
    command    the command: checks, then tuning, then the runs of the tables

``command`` and ``sections`` are importable without torch.
"""
