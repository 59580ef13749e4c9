"""Atomic files, resumable stores and packaged data."""
