"""Numbers from finished runs, as frames and sentences; no plots, and torch only where a model is run.

Their words (names, captions), runs in groups (grouping), compared (comparison), by factor (factors, ablation), one by
one (per_run); labelled_queries, cmer, published, training_data; negatives, queue_drift, queue_cost; and
embedding_space, gallery, efficiency.
"""
