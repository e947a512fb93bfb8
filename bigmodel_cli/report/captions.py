"""What each picture of a run shows, in a sentence."""

from __future__ import annotations

from pathlib import Path

from bigmodel_cli.pages import Picture

_CAPTIONS = {
    "learning_curves": "Loss and metrics against the epoch, on the training and the validation split; the "
    "line marks the epoch whose weights are kept.",
    "learning_rate_range": "The range test that found the learning rate: the loss against the rate.",
    "confusion_matrix": "Counts of true against predicted classes; off the diagonal are the mistakes.",
    "confusion_matrix_normalised": "The same as shares of each true class.",
    "classes": "Precision and recall of each class beside its number of examples, the worst first.",
    "labels": "Precision and recall of each label beside its number of examples, the worst first.",
    "roc": "True against false positive rate over all thresholds; the diagonal is guessing.",
    "precision_recall": "Precision against recall over all thresholds.",
    "reliability": "Accuracy against confidence; a calibrated model lies on the diagonal.",
    "predictions": "Some examples with their predicted and true class.",
    "worst": "The worst mistakes: where the true class is least probable.",
    "doubtful": "The most doubtful examples: where the two likeliest classes are closest.",
    "embeddings": "Where the layer before the head puts the examples, brought into the plane.",
    "weights": "Weights of the linear model with 95% intervals.",
    "predicted_against_true": "Predicted against true values; on the diagonal they agree.",
    "residuals": "Errors against the predicted value, and how they are distributed.",
    "fitted_line": "The line that was learned, through the examples.",
    "loss_by_place": "Loss by the place of a token in its text: how it falls as the model sees more.",
    "reconstructions": "Examples, and below each what the model gives back of it.",
    "worst_reconstructions": "The examples that the model gives back worst, and below each what it makes of "
    "them.",
    "latents": "Where the model puts the examples; their classes were not learned.",
    "samples": "What the decoder makes of latents drawn from the prior, a standard normal distribution.",
    "manifold": "What the decoder makes of each place of the two latents, at equal shares of the prior "
    "(Kingma and Welling 2014, figure 4).",
    "groups": "The score of each group, with 95% intervals.",
}


def picture(path: Path) -> Picture:
    """A picture of a run with its caption."""
    caption = _CAPTIONS.get(path.stem, f"{path.stem.replace('_', ' ').capitalize()}.")
    name = path.stem.replace("_", " ")
    return Picture(
        path.read_bytes(), caption, f"{name}: {caption} The numbers are in the tables of this page."
    )
