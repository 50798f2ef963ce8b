"""What a host scores with: metrics with Kaggle's signature, labels, tables in submission format."""

from kagkit.metrics.boxes import box_ap, box_ap_rows, box_f2, box_f2_rows
from kagkit.metrics.instances import mask_ap, mask_ap_rows, mask_f2, mask_f2_rows
from kagkit.metrics.masks import dice_rows, global_dice, global_dice_rows, iou_rows, mean_dice, mean_iou
from kagkit.metrics.multilabel import fbeta, fbeta_rows
from kagkit.metrics.perrow import PerRow
from kagkit.metrics.probabilities import auc, average_precision, log_loss, log_loss_rows
from kagkit.metrics.ranking import map_at_k, map_at_k_rows
from kagkit.metrics.refusals import ParticipantVisibleError, is_readable
from kagkit.metrics.registry import PER_ROW, TAKES
from kagkit.metrics.regression import mae, mae_rows, mcrmse, r2, rmse, rmse_rows, rmsle, rmsle_rows, spearman
from kagkit.metrics.tabular import (
    accuracy,
    accuracy_rows,
    balanced_accuracy,
    f1,
    mcc,
    quadratic_weighted_kappa,
)
from kagkit.metrics.uncertainty import (
    laplace_log_likelihood,
    laplace_log_likelihood_rows,
    pinball,
    pinball_rows,
)

__all__ = [
    "PER_ROW",
    "TAKES",
    "ParticipantVisibleError",
    "PerRow",
    "accuracy",
    "accuracy_rows",
    "auc",
    "average_precision",
    "balanced_accuracy",
    "box_ap",
    "box_ap_rows",
    "box_f2",
    "box_f2_rows",
    "dice_rows",
    "f1",
    "fbeta",
    "fbeta_rows",
    "global_dice",
    "global_dice_rows",
    "iou_rows",
    "is_readable",
    "laplace_log_likelihood",
    "laplace_log_likelihood_rows",
    "log_loss",
    "log_loss_rows",
    "mae",
    "mae_rows",
    "map_at_k",
    "map_at_k_rows",
    "mask_ap",
    "mask_ap_rows",
    "mask_f2",
    "mask_f2_rows",
    "mcc",
    "mcrmse",
    "mean_dice",
    "mean_iou",
    "pinball",
    "pinball_rows",
    "quadratic_weighted_kappa",
    "r2",
    "rmse",
    "rmse_rows",
    "rmsle",
    "rmsle_rows",
    "spearman",
]
