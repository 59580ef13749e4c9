"""Verification of WRF runs: rain, mean state, budgets."""
