"""Compression of trained models: their data in three parts, and the accuracy that they retain."""
