"""The Dask client and bounded maps over its workers."""
