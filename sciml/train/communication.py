"""The form in which processes exchange their gradients: hooks of `torch.distributed`, and the state of PowerSGD."""

# torch compares the annotations of a hook with classes, so that they must not be strings.
from collections.abc import Mapping
from typing import Any, Final

import torch
import torch.distributed as dist
from torch import Tensor
from torch._C._distributed_c10d import GradBucket
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks, powerSGD_hook
from torch.nn.parallel import DistributedDataParallel

from sciml.train.settings import Communication

__all__ = ["Exchange"]

RANK: Final = 4
START: Final = 10
Future = torch.futures.Future[Tensor]


class Exchange:
    """The exchange of the gradients of a module.

    Parameters
    ----------
    module
        Module that `torch.distributed` trains.
    communication
        Form of the gradients, see `sciml.train.Fit`. Complex gradients are always exchanged as they are.

    Notes
    -----
    PowerSGD (Vogels et al., NeurIPS 2019) sends factors of rank 4 in place of matrices, and each process adds what was
    lost to its next gradient. The first 10 steps exchange whole gradients.
    """

    def __init__(self, module: DistributedDataParallel, communication: Communication) -> None:
        self.powersgd: Any = None
        if communication == "bfloat16":
            module.register_comm_hook(None, _bfloat16)
        elif communication == "powersgd":
            self.powersgd = powerSGD_hook.PowerSGDState(None, RANK, START, random_seed=RANK)
            module.register_comm_hook(self.powersgd, _powersgd)

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that a resumed training needs; all processes must call this.

        Returns
        -------
        dict
            ``error/INDEX`` (process, number): what each process has to add to its next gradient; ``p/INDEX`` and
            ``q/INDEX``: the factors of the last step; ``steps``: their number. Empty if the gradients are exchanged
            whole.
        """
        if self.powersgd is None:
            return {}
        state = self.powersgd
        tensors = {"steps": torch.tensor(state.iter)}
        tensors |= {f"p/{index}": p.clone() for index, p in state.p_memory_dict.items()}
        tensors |= {f"q/{index}": q.clone() for index, q in state.q_memory_dict.items()}
        for index, error in sorted(state.error_dict.items()):  # in the same order in all processes
            errors = [torch.empty_like(error) for _ in range(dist.get_world_size())]
            dist.all_gather(errors, error)
            tensors[f"error/{index}"] = torch.stack(errors)
        return tensors

    def restore(self, tensors: Mapping[str, Tensor], device: torch.device) -> None:
        """Restore the result of `state`; another number of processes gets the mean of what was to be added."""
        if self.powersgd is None or not tensors:
            return
        state, rank, size = self.powersgd, dist.get_rank(), dist.get_world_size()
        state.iter = int(tensors["steps"])
        for name, tensor in tensors.items():
            what, _, index = name.partition("/")
            if what == "p":
                state.p_memory_dict[int(index)] = tensor.to(device).clone()
            if what == "q":
                state.q_memory_dict[int(index)] = tensor.to(device).clone()
            if what == "error":
                own = tensor[rank] if len(tensor) == size else tensor.mean(0)
                state.error_dict[int(index)] = own.to(device).clone()


def _bfloat16(_: None, bucket: GradBucket) -> Future:
    if bucket.buffer().is_complex():
        return default_hooks.allreduce_hook(_group(), bucket)
    return default_hooks.bf16_compress_hook(_group(), bucket)


def _powersgd(state: Any, bucket: GradBucket) -> Future:
    if bucket.buffer().is_complex():
        state.maybe_increase_iter(bucket)
        return default_hooks.allreduce_hook(_group(), bucket)
    # It sends several messages one after the other. Others must not come between them, in any order of the processes.
    exchanged: Future = torch.futures.Future()
    exchanged.set_result(powerSGD_hook.powerSGD_hook(state, _Matrices(bucket)).wait())
    return exchanged


class _Matrices:
    """A bucket of gradients none of which is a number without dimensions, which the hook cannot take."""

    def __init__(self, bucket: Any) -> None:
        self.buffer, self.index, self.is_last = bucket.buffer, bucket.index, bucket.is_last
        self.gradients = lambda: [x.view(1) if x.ndim == 0 else x for x in bucket.gradients()]


def _group() -> Any:
    return dist.group.WORLD
