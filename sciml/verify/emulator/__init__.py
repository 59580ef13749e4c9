"""Scores and reports of emulators of the convection scheme."""
