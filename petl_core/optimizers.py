"""torch's optimizers without their hooks for ``torch.compile``, which cost seconds when the first one is made."""

import inspect
from typing import TypeVar

import torch
from torch.optim import Optimizer

OptimizerClass = TypeVar("OptimizerClass", bound=type[Optimizer])

HOOKED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


def without_compiler(optimizer: OptimizerClass) -> OptimizerClass:
    """An optimizer class that computes the same and does not import ``torch._dynamo``.

    torch wraps ``step`` and ``HOOKED`` so that its compiler leaves them alone. The wrappers do nothing where nothing is
    compiled, but import the compiler, and sympy with it: 5 seconds for every process that trains. The class returned
    has the methods themselves; a training step that is to be compiled needs torch's own class.
    """
    methods = {name: inspect.unwrap(getattr(optimizer, name)) for name in HOOKED}
    methods["step"] = torch.no_grad()(inspect.unwrap(optimizer.step))
    return type(optimizer.__name__, (optimizer,), methods)


Adam = without_compiler(torch.optim.Adam)
AdamW = without_compiler(torch.optim.AdamW)
