"""The preparation of a table where Keras runs on JAX: a graph made by another process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Of every kind a column, with missing cells, and dates before and after 1970.
TABLE = """a,b,flag,word,hashed,when,text,photo,y
0.5,1,true,red,x1,1969-02-28,a good film,0.png,yes
,2,false,green,x2,2024-02-29,bad,1.png,no
-1.5,3,,red,,2011-07-01,good and bad,0.png,yes
2.5,4,true,,x1,,,1.png,no
"""
CONFIG = """\
name: prepared
dataset:
  name: csv
  path: table.csv
  target: y
  validation_fraction: 0.2
  test_fraction: 0.2
  columns:
    {text: text, flag: boolean, word: categorical, hashed: categorical, when: date, a: numeric, b: numeric,
     photo: image}
  prepare: {columns: {hashed: {encode: hash, missing: mode}}}
model: late_fusion
"""
CODE = """
import sys
from pathlib import Path
import numpy as np
from bigmodel_cli import engine
engine.start(sys.argv[1])
from bigmodel_cli import assembly, validation
data = assembly.load_data(validation.load(Path("config.yaml"), ()).config)
batches = data.keeping.prepared(data.splits["train"].batches())
inputs = [inputs for inputs, _ in batches]
np.savez(sys.argv[2], **{key: np.concatenate([batch[key] for batch in inputs]) for key in inputs[0]})
"""


@pytest.mark.slow
def test_both_engines_prepare_alike(tmp_path: Path, write: Callable[[str, str], Path]) -> None:
    import numpy as np
    from PIL import Image

    for place in range(2):
        Image.new("RGB", (3, 4), (place, 10, 200)).save(tmp_path / f"{place}.png")
    write("table.csv", TABLE.splitlines()[0] + "\n" + "\n".join(TABLE.splitlines()[1:] * 10) + "\n")
    write("config.yaml", CONFIG)
    for backend in ("tensorflow", "jax"):
        done = subprocess.run(
            [sys.executable, "-c", CODE, backend, f"{backend}.npz"],
            cwd=tmp_path,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
    with np.load(tmp_path / "tensorflow.npz") as ours, np.load(tmp_path / "jax.npz") as theirs:
        assert set(ours.files) == set(theirs.files) >= {"numbers", "categories"}
        for name in ours.files:
            assert ours[name].dtype == theirs[name].dtype
            np.testing.assert_array_equal(ours[name], theirs[name])
