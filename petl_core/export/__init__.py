"""Exporting: embeddings, open_clip folders, adapters for the Hugging Face hub.

    open_clip_folder   a method folded into its backbone: LoRA, BitFit, full fine-tuning
    hub                adapter, configuration and model card in a folder, and ``load``, which reads one
    model_card         the README.md of such a folder, from ``metrics.json`` alone
    embeddings         of a split, as Parquet or NumPy

From a shell: ``python -m petl_core export runs/HASH KIND OUT``. The README shows that, and how LAION's
``clip_benchmark`` evaluates a model without exporting it.
"""

from petl_core.export.embeddings import export_embeddings
from petl_core.export.hub import export_hub, load
from petl_core.export.open_clip_folder import export_open_clip

__all__ = ["export_embeddings", "export_hub", "export_open_clip", "load"]
