"""From a config to its data and model, and from a run to its restored model: the only restore path."""

from bigmodel_cli.assembly.course import augmentations, class_weights, hiding, last_step, resampling
from bigmodel_cli.assembly.data import Data, divide, load_data, open_source
from bigmodel_cli.assembly.model import Precision, build_model, serving_model
from bigmodel_cli.assembly.recorded import recorded_data, restored_data, split_record
from bigmodel_cli.assembly.restoring import BATCH_SIZE, Restored, restore

__all__ = [
    "BATCH_SIZE",
    "Data",
    "Precision",
    "Restored",
    "augmentations",
    "build_model",
    "class_weights",
    "divide",
    "hiding",
    "last_step",
    "load_data",
    "open_source",
    "recorded_data",
    "resampling",
    "restore",
    "restored_data",
    "serving_model",
    "split_record",
]
