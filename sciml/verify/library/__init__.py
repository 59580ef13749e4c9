"""Checks of the native library: parity, replay, statistics of its modes."""
