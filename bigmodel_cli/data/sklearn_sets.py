"""The small real data sets inside scikit-learn: always there, no network.

Each has one base split, `all`. The seed that dataset builders take changes nothing here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec

if TYPE_CHECKING:
    from bigmodel_cli.data.arrays import ArraySource


def digits(seed: int) -> ArraySource:
    """Handwritten digits: 1,797 grey images of 8 x 8 pixels, 10 classes.

    The test half of the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998). Its
    grey levels, 0 to 16, are spread over 0 to 255.
    """
    import numpy as np
    from sklearn.datasets import load_digits

    from bigmodel_cli.data.arrays import ArraySource

    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    spec = DataSpec(
        name="digits",
        origin=_origin(),
        task="classification",
        input=InputSpec(images.shape[1:], "uint8", "image"),
        target=TargetSpec((), "int32", _class_names(bunch)),
    )
    return ArraySource(spec, {"all": (images, bunch.target.astype(np.int32))})


def iris(seed: int) -> ArraySource:
    """Iris flowers: 150 examples, 4 measures in cm, 3 species.

    Fisher, The Use of Multiple Measurements in Taxonomic Problems, 1936.
    """
    from sklearn.datasets import load_iris

    return _table_of_classes("iris", load_iris())


def wine(seed: int) -> ArraySource:
    """Italian wines: 178 examples, 13 chemical measures, 3 growers.

    UCI, "Wine" (Forina et al., 1991).
    """
    from sklearn.datasets import load_wine

    return _table_of_classes("wine", load_wine())


def breast_cancer(seed: int) -> ArraySource:
    """Breast tumours: 569 examples, 30 measures of cell nuclei, malignant or benign.

    UCI, "Breast Cancer Wisconsin (Diagnostic)" (Wolberg et al., 1995).
    """
    from sklearn.datasets import load_breast_cancer

    return _table_of_classes("breast_cancer", load_breast_cancer())


def diabetes(seed: int) -> ArraySource:
    """Diabetes patients: 442 examples, 10 measures in raw units; regression.

    The target is a measure of the disease's progression after a year, 25 to 346 (Efron et al., Least Angle
    Regression, Annals of Statistics 32, 2004).
    """
    import numpy as np
    from sklearn.datasets import load_diabetes

    from bigmodel_cli.data.arrays import ArraySource

    bunch = load_diabetes(scaled=False)
    spec = DataSpec(
        name="diabetes",
        origin=_origin(),
        task="regression",
        input=InputSpec(bunch.data.shape[1:], "float32", "tabular", tuple(bunch.feature_names)),
        target=TargetSpec((1,), "float32", ("disease_progression",)),
    )
    return ArraySource(
        spec, {"all": (bunch.data.astype(np.float32), bunch.target.astype(np.float32)[:, np.newaxis])}
    )


def _table_of_classes(name: str, bunch: Any) -> ArraySource:
    import numpy as np

    from bigmodel_cli.data.arrays import ArraySource

    spec = DataSpec(
        name=name,
        origin=_origin(),
        task="classification",
        input=InputSpec(bunch.data.shape[1:], "float32", "tabular", tuple(map(str, bunch.feature_names))),
        target=TargetSpec((), "int32", _class_names(bunch)),
    )
    return ArraySource(spec, {"all": (bunch.data.astype(np.float32), bunch.target.astype(np.int32))})


def _class_names(bunch: Any) -> tuple[str, ...]:
    return tuple(map(str, bunch.target_names))


def _origin() -> str:
    import sklearn

    return f"scikit-learn {sklearn.__version__}"
