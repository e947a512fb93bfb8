"""Pictures as PNG files, each a function of arrays: no model and no run."""

from bigmodel_cli.plots.calibration import reliability
from bigmodel_cli.plots.classes import class_bars
from bigmodel_cli.plots.comparison import compared_curves
from bigmodel_cli.plots.confusion import confusion_matrix
from bigmodel_cli.plots.curves import learning_curves
from bigmodel_cli.plots.data import ColumnPanel, class_balance, column_grid, target_distributions
from bigmodel_cli.plots.images import image_grid, sample_grid
from bigmodel_cli.plots.regression import fitted_line, predicted_against_true, residuals
from bigmodel_cli.plots.schedules import learning_rate_range, learning_rates
from bigmodel_cli.plots.style import Array, Theme
from bigmodel_cli.plots.thresholds import precision_recall_curves, roc_curves

__all__ = [
    "Array",
    "ColumnPanel",
    "Theme",
    "class_balance",
    "class_bars",
    "column_grid",
    "compared_curves",
    "confusion_matrix",
    "fitted_line",
    "image_grid",
    "learning_curves",
    "learning_rate_range",
    "learning_rates",
    "precision_recall_curves",
    "predicted_against_true",
    "reliability",
    "residuals",
    "roc_curves",
    "sample_grid",
    "target_distributions",
]
