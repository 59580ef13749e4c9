"""The linear action that a network has at a point, captured function by function.

A nonlinear function of a network acts on a second input by the linear map that it was at the first: a mask for a
pointwise function, a choice for a maximum, fixed statistics for a normalisation, fixed weights for a softmax. See
`sciml.analysis.frozen_rules` for all of them. The network itself runs unchanged, under a mode of torch functions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name

from sciml.errors import InputError

__all__ = ["FrozenAction", "depends", "mark"]

Result = TypeVar("Result")
Rule = Callable[..., Any]

IN_PLACE = frozenset({"iadd", "isub", "imul", "itruediv", "imatmul", "ipow"})
WITHOUT_GRADIENTS = frozenset(
    {"detach", "shape", "size", "dim", "ndim", "dtype", "device", "to", "bool", "numel"}
)
"""Functions that may be called where gradients are disabled: their results are frozen, or no numbers."""


class FrozenAction(TorchFunctionMode):
    """Runs a network with the linear action of its nonlinear functions.

    The first run records the frozen values; a run with `tape` uses these for another input, so that the network is an
    affine function of it.

    Parameters
    ----------
    rules
        Rule for each function by its name, or by the function itself where names are ambiguous.
    inputs
        Inputs of the network, of this run.
    tape
        Values that another run recorded; None records them.

    Attributes
    ----------
    tape
        The frozen values in the order of the calls.
    """

    def __init__(
        self,
        rules: Mapping[Any, Rule],
        inputs: Sequence[Tensor],
        tape: Sequence[tuple[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        self.rules, self.inputs = rules, inputs
        self.recording = tape is None
        self.tape: list[tuple[str, Any]] = [] if tape is None else list(tape)
        self.position = 0
        self.current = ""

    def frozen(self, compute: Callable[[], Result]) -> Result:
        """Return a value that is computed at the first input and used again for other inputs."""
        if self.recording:
            value = compute()
            self.tape.append((self.current, value))
            return value
        if self.position >= len(self.tape) or self.tape[self.position][0] != self.current:
            raise InputError(
                f"{self.current}{place()} was not called at the first input: a network whose path depends on its "
                "input has no frozen action; use mode='tangent'"
            )
        self.position += 1
        return self.tape[self.position - 1][1]  # type: ignore[no-any-return]

    def check(self, tensors: Sequence[Tensor]) -> None:
        """Check that tensors do not depend on the input by a `torch.autograd.Function`, which no rule can see.

        Raises
        ------
        InputError
            One does.
        """
        for x in tensors:
            node: Any = x.grad_fn
            if not isinstance(node, torch.autograd.function.BackwardCFunction):
                continue
            if node is getattr(x, "_depends_on_input", None):  # the result of a rule
                continue
            gradients = torch.autograd.grad(
                x, self.inputs, torch.ones_like(x), retain_graph=True, allow_unused=True
            )
            if any(gradient is not None for gradient in gradients):
                name = type(node).__name__.removesuffix("Backward")
                raise unsupported(f"{name}, a torch.autograd.Function,")

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, or its rule if an argument depends on the input."""
        words = dict(kwargs or {})
        given = list(tensors_in((*args, *words.values())))
        self.check(given)
        if not any(depends(x) for x in given):
            return func(*args, **words)
        name, in_place = spelled(func)
        action = f"action:{getattr(func, 'action', None)}"
        rule = self.rules.get(action) or self.rules.get(func) or self.rules.get(name)
        if rule is None:
            raise unsupported(name)
        if not torch.is_grad_enabled() and name not in WITHOUT_GRADIENTS:
            raise unsupported(f"{name} without gradients (no_grad, inference mode or an autograd.Function)")
        if words.get("out") is not None:
            raise unsupported(f"{name} with out=")
        outer, self.current = self.current, name
        try:
            return rule(self, func, in_place or bool(words.get("inplace")), *args, **words)
        finally:
            self.current = outer


def unsupported(name: str) -> InputError:
    """Make the error about a function that has no frozen action."""
    return InputError(
        f"{name}{place()} has no frozen action: use mode='tangent', or write it with functions that have one, see "
        "sciml.analysis.frozen_rules"
    )


def depends(x: Any) -> bool:
    """Whether a tensor depends on the input of the network."""
    if not isinstance(x, Tensor):
        return False
    return hasattr(x, "_depends_on_input") or (x._base is not None and hasattr(x._base, "_depends_on_input"))


def mark(result: Result) -> Result:
    """Mark tensors of a result as dependent on the input; returns it."""
    for x in tensors_in((result,)):
        x._depends_on_input = x.grad_fn  # type: ignore[attr-defined]
    return result


def mark_written(x: Tensor) -> None:
    """Mark a tensor that was written to, and the one whose memory it shares."""
    mark(x)
    if x._base is not None:
        mark(x._base)


def tensors_in(values: Sequence[Any]) -> Iterator[Tensor]:
    """Yield all tensors in nested sequences."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors_in(value)


def spelled(func: Any) -> tuple[str, bool]:
    """Return the name of a function without underscores and prefixes, and whether it changes its first argument."""
    name = str(getattr(func, "__name__", func))
    if name in ("__get__", "__set__"):
        parts = (resolve_name(func) or "unknown").split(".")
        return (parts[-2] if name == "__get__" else f"assignment to {parts[-2]}"), False
    if name.startswith("__"):
        name = name.strip("_")
        return (name[1:], True) if name in IN_PLACE else (name, name == "setitem")
    in_place, name = name.endswith("_"), name.strip("_")
    for group in ("fft_", "linalg_", "special_"):
        name = name.removeprefix(group)
    return name, in_place


def place() -> str:
    """Return where in the network the running function is: " in layers.2 (MyLayer)", or nothing outside of modules."""
    frame: FrameType | None = sys._getframe(1)
    modules: list[nn.Module] = []
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, nn.Module) and not any(owner is module for module in modules):
            modules.append(owner)
        frame = frame.f_back
    if not modules:
        return ""
    inner, root = modules[0], modules[-1]
    name = next((name for name, module in root.named_modules() if module is inner), "")
    kind = type(inner).__name__
    return f" in {name} ({kind})" if name else f" in {kind}"
