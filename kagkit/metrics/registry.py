"""Say of every metric what it takes, and of those of mean type what each row adds to them."""

from __future__ import annotations

from typing import Literal

from kagkit.metrics.boxes import box_ap_rows, box_f2_rows
from kagkit.metrics.instances import mask_ap_rows, mask_f2_rows
from kagkit.metrics.masks import dice_rows, global_dice_rows, iou_rows
from kagkit.metrics.multilabel import fbeta_rows
from kagkit.metrics.perrow import PerRow, average_root, ratio
from kagkit.metrics.probabilities import log_loss_rows
from kagkit.metrics.ranking import map_at_k_rows
from kagkit.metrics.regression import mae_rows, rmse_rows, rmsle_rows
from kagkit.metrics.tabular import accuracy_rows
from kagkit.metrics.uncertainty import laplace_log_likelihood_rows, pinball_rows

TAKES: dict[str, Literal["labels", "probabilities", "values", "rankings", "masks", "boxes"]] = {
    "accuracy": "labels",
    "balanced_accuracy": "labels",
    "f1": "labels",
    "fbeta": "labels",
    "mcc": "labels",
    "quadratic_weighted_kappa": "labels",
    "log_loss": "probabilities",
    "auc": "probabilities",
    "average_precision": "probabilities",
    "mae": "values",
    "rmse": "values",
    "mcrmse": "values",
    "rmsle": "values",
    "r2": "values",
    "spearman": "values",
    "pinball": "values",
    "laplace_log_likelihood": "values",
    "map_at_k": "rankings",
    "mean_dice": "masks",
    "global_dice": "masks",
    "mean_iou": "masks",
    "mask_f2": "masks",
    "mask_ap": "masks",
    "box_f2": "boxes",
    "box_ap": "boxes",
}

PER_ROW: dict[str, PerRow] = {
    "accuracy": PerRow(accuracy_rows),
    "fbeta": PerRow(fbeta_rows, only={"average": "samples"}),
    "log_loss": PerRow(log_loss_rows, ratio),
    "mae": PerRow(mae_rows),
    "rmse": PerRow(rmse_rows, average_root),
    "mcrmse": PerRow(rmse_rows, average_root),
    "rmsle": PerRow(rmsle_rows, average_root),
    "pinball": PerRow(pinball_rows),
    "laplace_log_likelihood": PerRow(laplace_log_likelihood_rows),
    "map_at_k": PerRow(map_at_k_rows),
    "mean_dice": PerRow(dice_rows),
    "global_dice": PerRow(global_dice_rows, ratio),
    "mean_iou": PerRow(iou_rows),
    "mask_f2": PerRow(mask_f2_rows),
    "mask_ap": PerRow(mask_ap_rows),
    "box_f2": PerRow(box_f2_rows),
    "box_ap": PerRow(box_ap_rows),
}
