"""Heavy modules that ``open_clip`` and ``torchvision`` import, but that few models use, wait for their first use.

More than half of the time of ``import open_clip`` goes to three such modules:

    torch._dynamo   torch's compiler, and sympy with it; torchvision asks it one question in ``roi_align``
    transformers    text towers from Hugging Face, and CoCa's generation of captions
    timm            image towers of timm

:func:`install`, called by ``petl_core/__init__.py``, has them wait. While ``open_clip`` or ``torchvision`` is being
imported, a placeholder stands in ``sys.modules`` for each, and whatever is imported from it is a :class:`LaterName`,
which imports the real module when it is called, asked for an attribute, or used by ``isinstance``. Afterwards the
placeholders are gone: ``import transformers`` gives the real module at any time, and Hugging Face and timm towers work
as ever. A module that is already imported, or not installed, is left alone.
"""

import importlib
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

WAITING = {
    "torchvision": ("torch._dynamo.utils",),
    "open_clip": ("transformers", "transformers.modeling_outputs", "transformers.generation", "timm", "timm.layers"),
}


class LaterName:
    """A name of a module that is imported at the first use of the name.

    It can be called, asked for its attributes, and stand in ``isinstance`` or an annotation. It is no class to inherit
    from and no exception to catch.
    """

    def __init__(self, module: str, name: str):
        self._later = module, name

    def _real(self):
        module, name = self._later
        return getattr(importlib.import_module(module), name)

    def __call__(self, *arguments, **named):
        return self._real()(*arguments, **named)

    def __getattr__(self, attribute: str):
        if attribute.startswith("__"):  # how Python asks what an object can do; no use of it
            raise AttributeError(attribute)
        return getattr(self._real(), attribute)

    def __instancecheck__(self, instance) -> bool:
        return isinstance(instance, self._real())


class Placeholder(ModuleType):
    """Stands for a module: each of its names is a :class:`LaterName`."""

    def __getattr__(self, name: str) -> LaterName:
        if name.startswith("__"):
            raise AttributeError(name)
        return LaterName(self.__name__, name)


@contextmanager
def placeholders(modules: Sequence[str]):
    """Within this context placeholders stand for those of the modules that are installed and not yet imported."""
    installed = [name for name in modules if PathFinder.find_spec(name.partition(".")[0])]
    placed = {name: Placeholder(name) for name in installed if name not in sys.modules}
    sys.modules.update(placed)
    try:
        yield
    finally:
        for name, placeholder in placed.items():
            if sys.modules.get(name) is placeholder:
                del sys.modules[name]


class LeanFinder:
    """Finds the packages of ``WAITING`` as Python would, and runs them between placeholders."""

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name in WAITING else None
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_between_placeholders(module: ModuleType) -> None:
                with placeholders(WAITING[name]):
                    run(module)

            spec.loader.exec_module = run_between_placeholders
        return spec


def install() -> None:
    """From now on ``open_clip`` and ``torchvision`` are imported without what waits; costs nothing itself."""
    if not any(isinstance(finder, LeanFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, LeanFinder())
