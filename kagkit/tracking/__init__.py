"""Show runs in MLflow: a view made after the commit, never read to decide anything."""
