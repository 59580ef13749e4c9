"""Checks of what was learned: scores against the true scheme, budgets, parity of two programs, reports."""
