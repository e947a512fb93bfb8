"""A data set written once as TFRecord shards, and read fast by many workers, from a local folder or gs://."""

from bigmodel_cli.data.prepared.reading import PreparedSource, prepared
from bigmodel_cli.data.prepared.writing import write

__all__ = ["PreparedSource", "prepared", "write"]
