"""What a host scores with: metrics with Kaggle's signature, labels, tables in submission format."""

from kagkit.metrics.tabular import (
    TAKES,
    accuracy,
    auc,
    f1,
    log_loss,
    mae,
    quadratic_weighted_kappa,
    rmse,
    rmsle,
)

__all__ = ["TAKES", "accuracy", "auc", "f1", "log_loss", "mae", "quadratic_weighted_kappa", "rmse", "rmsle"]
