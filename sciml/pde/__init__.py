"""PDE problems, their coefficients, grids and sparse systems, and datasets of their solutions."""
