"""Data as files and as tables: versions, folds, rows, predictions, drift."""
