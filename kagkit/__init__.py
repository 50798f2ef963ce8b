"""kagkit makes Kaggle competitions reproducible, above all the two-stage ones: retrain and submit."""

__version__ = "0.1.0"
