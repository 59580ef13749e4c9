"""Neural operators on multigrid hierarchies, and the algorithms they make."""
