"""Certificates of trained operators: a bound of how much a step expands differences of states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sciml.errors import InputError
from sciml.nn.lipschitz import lipschitz_factors
from sciml.nn.parametrize import dense_copy
from sciml.operators.lipschitz_bound import Certificate

if TYPE_CHECKING:
    from sciml.operators.trained_operator import TrainedOperator

__all__ = ["certificate", "certified"]


def certificate(operator: TrainedOperator) -> Certificate:
    """Compute the certificate of an operator from its present weights and scaling.

    Parameters
    ----------
    operator
        Operator that advances its target by a step, with a network whose class has ``lipschitz_factors``, such as
        `NonExpansive`; other inputs do not change the bound, since both states of a difference have the same.

    Returns
    -------
    Certificate
        Bounds of the parts of the network, exact norms where its class computes them, and their product.

    Raises
    ------
    InputError
        The operator is not of time steps, or its network has no bound.
    """
    if not operator.steps:
        raise InputError(
            f"the operator of {operator.family} was not trained on a time series: a certificate is for steps of a state"
        )
    network = dense_copy(operator.network).cpu()
    fixed = getattr(network, "points", operator.grid.shape)
    points = None if fixed is None else (int(fixed[0]), int(fixed[1]))
    try:
        factors = lipschitz_factors(network, points)
    except InputError as error:
        raise InputError(f"no certificate: {error}; train one with 'sciml pde train nonexpansive'") from error
    order = float(getattr(network, "order", 0.0))
    state, result = operator.normalisation.inputs[operator.target], operator.normalisation.target
    return Certificate(
        factors | {"scaling": float(result.scale.double().max() / state.scale.double().min())}, points, order
    )


def certified(operator: TrainedOperator) -> dict[str, Any]:
    """Return the entries of a checkpoint's description; none if the network's class has no bound.

    The entries are ``lipschitz_bound`` and, in ``certificate``, its factors, points and order.
    """
    if not operator.steps or not hasattr(operator.network, "lipschitz_factors"):
        return {}
    made = certificate(operator)
    return {"lipschitz_bound": made.lipschitz, "certificate": made.to_json()}
