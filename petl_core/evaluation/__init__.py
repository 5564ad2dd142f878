"""Numbers from finished runs, as frames and sentences; no plots, and torch only where a model is run.

Their words (names, captions, answers), runs in groups (grouping), compared (comparison, leaders), by factor (factors,
ablation, tuning), one by one (per_run, learning_curves), by_scene, by the choice of the epoch (selection), by rank
(recall_profile); labelled_queries, cmer, focus, published, paper, training_data; negatives, queue_drift, queue_cost;
and embedding, embedding_space, gallery_search, efficiency, kept_bytes.
"""
