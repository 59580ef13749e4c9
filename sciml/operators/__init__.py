"""Neural operators on multigrid hierarchies, and the algorithms they make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.lazy import attach

if TYPE_CHECKING:
    from sciml.operators.corrected import Corrected as Corrected
    from sciml.operators.fno import FNO as FNO
    from sciml.operators.greens import GreensFunctions as GreensFunctions
    from sciml.operators.greens import greens_functions as greens_functions
    from sciml.operators.helmholtz_net import HelmholtzNet as HelmholtzNet
    from sciml.operators.hierarchy_net import HierarchyNet as HierarchyNet
    from sciml.operators.learned_helmholtz import LearnedHelmholtz as LearnedHelmholtz
    from sciml.operators.lipschitz_bound import Certificate as Certificate
    from sciml.operators.losses import relative_h1 as relative_h1
    from sciml.operators.mgno import MgNO as MgNO
    from sciml.operators.neural import Neural as Neural
    from sciml.operators.nonexpansive import NonExpansive as NonExpansive
    from sciml.operators.preconditioning import Preconditioned as Preconditioned
    from sciml.operators.preconditioning import preconditioner as preconditioner
    from sciml.operators.rollout import Stepper as Stepper
    from sciml.operators.step_certificate import certificate as certificate
    from sciml.operators.trained_operator import TrainedOperator as TrainedOperator
    from sciml.operators.training import train as train

__getattr__, __dir__, __all__ = attach(__name__, __file__)
