"""Parameter-efficient transfer learning of CLIP for remote sensing image-text retrieval.

The architecture, from data to figures, is described in CONTRIBUTING.md. Start reading at

    config.RunConfig     everything that identifies a run
    adapters.attach      a frozen CLIP and a method -> a model to train
    runs.experiment.run  RunConfig -> a finished run in runs/<hash>/
    evaluation           finished runs -> tables; plots: tables -> figures
"""

import os

from petl_core import lazy_imports

# Waiting threads must not spin: with other work on the machine, that costs more than it saves. The variable is read
# when the first library with threads is loaded, so it is set here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
lazy_imports.install()  # before open_clip is imported anywhere
