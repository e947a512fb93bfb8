"""Held-out metrics with 95% bootstrap intervals, each beside the baseline that a model must beat."""

from bigmodel_cli.metrics.baseline import Baseline
from bigmodel_cli.metrics.calibration import (
    at_temperature,
    binned,
    calibration_error,
    fitted_temperature,
    threshold_at_temperature,
)
from bigmodel_cli.metrics.classification import ClassificationReport, ClassScores, classification_metrics
from bigmodel_cli.metrics.groups import Group, Grouping, class_columns, group_scores, value_columns
from bigmodel_cli.metrics.intervals import CONFIDENCE, Interval
from bigmodel_cli.metrics.language import (
    LanguageReport,
    language_metrics,
    language_values,
    scores_of_sums,
    text_sums,
)
from bigmodel_cli.metrics.measured import classification_values, mean_loss
from bigmodel_cli.metrics.multi_label import (
    LabelScores,
    MultiLabelReport,
    label_columns,
    multi_label_metrics,
    multi_label_values,
)
from bigmodel_cli.metrics.reconstruction import (
    ReconstructionReport,
    reconstruction_columns,
    reconstruction_metrics,
    reconstruction_values,
)
from bigmodel_cli.metrics.regression import (
    RegressionReport,
    TargetScores,
    regression_metrics,
    regression_values,
)
from bigmodel_cli.metrics.segmentation import (
    ClassOfPixels,
    PixelCounts,
    SegmentationReport,
    mask_columns,
    mask_scores,
    scores_of_masks,
    segmentation_metrics,
    shares_of_pixels,
)
from bigmodel_cli.metrics.threshold import Threshold, best_threshold, threshold_scores

__all__ = [
    "CONFIDENCE",
    "Baseline",
    "ClassOfPixels",
    "ClassScores",
    "ClassificationReport",
    "Group",
    "Grouping",
    "Interval",
    "LabelScores",
    "LanguageReport",
    "MultiLabelReport",
    "PixelCounts",
    "ReconstructionReport",
    "RegressionReport",
    "SegmentationReport",
    "TargetScores",
    "Threshold",
    "at_temperature",
    "best_threshold",
    "binned",
    "calibration_error",
    "class_columns",
    "classification_metrics",
    "classification_values",
    "fitted_temperature",
    "group_scores",
    "label_columns",
    "language_metrics",
    "language_values",
    "mask_columns",
    "mask_scores",
    "mean_loss",
    "multi_label_metrics",
    "multi_label_values",
    "reconstruction_columns",
    "reconstruction_metrics",
    "reconstruction_values",
    "regression_metrics",
    "regression_values",
    "scores_of_masks",
    "scores_of_sums",
    "segmentation_metrics",
    "shares_of_pixels",
    "text_sums",
    "threshold_at_temperature",
    "threshold_scores",
    "value_columns",
]
