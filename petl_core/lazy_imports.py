"""Lazy imports of heavy modules that ``open_clip`` and ``torchvision`` import, but that few models use.

They shorten the start of every process: more than half of the time of ``import open_clip`` goes to three modules:

    torch._dynamo   torch's compiler, and sympy with it; torchvision uses one function of it, in ``roi_align``
    transformers    text towers from Hugging Face, and CoCa's generation of captions
    timm            image towers of timm

After :func:`install`, called by ``petl_core/__init__.py``, ``sys.modules`` has a :class:`Placeholder` for each of them
while ``open_clip`` or ``torchvision`` is being imported. Whatever these import from a placeholder is a
:class:`LazyAttribute`, which imports the real module when it is called, asked for an attribute, or used by
``isinstance``. Afterwards the placeholders are removed, so ``import transformers`` gives the real module, and towers
from Hugging Face and timm work as usual. Modules that are already imported, or not installed, are left alone.

Limits: a :class:`LazyAttribute` cannot be a base class or a caught exception, and nothing is lazy if ``open_clip`` was
imported before ``petl_core``.
"""

import importlib
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

LAZY_MODULES = {
    "torchvision": ("torch._dynamo.utils",),
    "open_clip": ("transformers", "transformers.modeling_outputs", "transformers.generation", "timm", "timm.layers"),
}


class LazyAttribute:
    """An attribute of a module that is imported when the attribute is first used.

    It can be called, asked for its attributes, and used in ``isinstance`` or an annotation. It cannot be a base class
    or a caught exception.
    """

    def __init__(self, module: str, name: str):
        self._target = module, name

    def _real(self):
        module, name = self._target
        return getattr(importlib.import_module(module), name)

    def __call__(self, *arguments, **named):
        return self._real()(*arguments, **named)

    def __getattr__(self, attribute: str):
        if attribute.startswith("__"):  # Python asks what an object can do; this is not a use
            raise AttributeError(attribute)
        return getattr(self._real(), attribute)

    def __instancecheck__(self, instance) -> bool:
        return isinstance(instance, self._real())


class Placeholder(ModuleType):
    """Takes the place of a module: each of its attributes is a :class:`LazyAttribute`."""

    def __getattr__(self, name: str) -> LazyAttribute:
        if name.startswith("__"):
            raise AttributeError(name)
        return LazyAttribute(self.__name__, name)


@contextmanager
def placeholders(modules: Sequence[str]):
    """Within this context, modules that are installed but not yet imported are replaced by placeholders."""
    installed = [name for name in modules if PathFinder.find_spec(name.partition(".")[0])]
    placed = {name: Placeholder(name) for name in installed if name not in sys.modules}
    sys.modules.update(placed)
    try:
        yield
    finally:
        for name, placeholder in placed.items():
            if sys.modules.get(name) is placeholder:
                del sys.modules[name]


class LazyFinder:
    """Finds the packages of ``LAZY_MODULES`` as Python would, and imports them with placeholders in place."""

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name in LAZY_MODULES else None
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_with_placeholders(module: ModuleType) -> None:
                with placeholders(LAZY_MODULES[name]):
                    run(module)

            spec.loader.exec_module = run_with_placeholders
        return spec


def install() -> None:
    """Make the heavy imports of ``open_clip`` and ``torchvision`` lazy from now on; imports nothing itself."""
    if not any(isinstance(finder, LazyFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, LazyFinder())
