"""Scores and reports of neural operators, with error bounds."""
