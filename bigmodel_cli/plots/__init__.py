"""Pictures as PNG files, each a function of arrays: no model and no run."""

from bigmodel_cli.plots.calibration import reliability
from bigmodel_cli.plots.classes import class_bars, label_bars
from bigmodel_cli.plots.comparison import compared_curves
from bigmodel_cli.plots.confusion import confusion_matrix
from bigmodel_cli.plots.curves import learning_curves
from bigmodel_cli.plots.data import ColumnPanel, class_balance, column_grid, target_distributions
from bigmodel_cli.plots.dependence import PANELS as DEPENDENCE_PANELS
from bigmodel_cli.plots.dependence import DependencePanel, partial_dependence
from bigmodel_cli.plots.embeddings import embedding_map
from bigmodel_cli.plots.explanations import column_bars, image_attribution, text_attribution
from bigmodel_cli.plots.images import image_grid, sample_grid
from bigmodel_cli.plots.mask_colors import colored, mask_colors, overlaid
from bigmodel_cli.plots.masks import mask_bars, mask_grid
from bigmodel_cli.plots.mosaic import image_mosaic
from bigmodel_cli.plots.places import loss_by_place
from bigmodel_cli.plots.regression import fitted_line, predicted_against_true, residuals
from bigmodel_cli.plots.repeats import repeated_scores
from bigmodel_cli.plots.schedules import learning_rate_range, learning_rates
from bigmodel_cli.plots.style import Array, Theme
from bigmodel_cli.plots.thresholds import precision_recall_curves, roc_curves
from bigmodel_cli.plots.weights import linear_weights

__all__ = [
    "DEPENDENCE_PANELS",
    "Array",
    "ColumnPanel",
    "DependencePanel",
    "Theme",
    "class_balance",
    "class_bars",
    "colored",
    "column_bars",
    "column_grid",
    "compared_curves",
    "confusion_matrix",
    "embedding_map",
    "fitted_line",
    "image_attribution",
    "image_grid",
    "image_mosaic",
    "label_bars",
    "learning_curves",
    "learning_rate_range",
    "learning_rates",
    "linear_weights",
    "loss_by_place",
    "mask_bars",
    "mask_colors",
    "mask_grid",
    "overlaid",
    "partial_dependence",
    "precision_recall_curves",
    "predicted_against_true",
    "reliability",
    "repeated_scores",
    "residuals",
    "roc_curves",
    "sample_grid",
    "target_distributions",
    "text_attribution",
]
