"""The commands that answer at once, as a user types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bigmodel_cli import validation
from bigmodel_cli.components import KINDS

CONFIGS = Path(__file__).parents[2] / "configs"
RIGHT = "dataset: digits\nmodel: mlp\n"
WRONG = "dataset: digts\nmodel: {name: mlp, hiden: [3]}\n"


class TestBigmodel:
    @pytest.mark.parametrize("arguments", [("--help",), ("-h",)])
    def test_help(self, bigmodel, arguments):
        result = bigmodel(*arguments)
        assert result.exit_code == 0
        assert "bigmodel train my.yaml" in result.stdout
        for command in (
            "init",
            "validate",
            "explain",
            "list",
            "schema",
            "train",
            "evaluate",
            "predict",
            "runs",
        ):
            assert f"\n  {command} " in result.stdout

    def test_nothing(self, bigmodel):
        result = bigmodel()
        assert result.exit_code == 2
        assert "Usage: bigmodel" in result.stdout + result.stderr

    def test_version(self, bigmodel):
        assert bigmodel("--version").stdout.startswith("bigmodel 0.")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("trian", "c.yaml"), "Error: there is no command `trian`; did you mean `train`?\n"),
            (("xyz",), "Error: there is no command `xyz`; `bigmodel --help` lists them\n"),
            (("validate",), "Error: Missing argument 'CONFIG...'.\n"),
            (("validate", "--bild", "c.yaml"), "Error: No such option '--bild'. Did you mean '--build'?\n"),
            (("list", "modls"), "Error: Invalid value for 'KIND': 'modls' is not one of 'models'"),
            (("runs", "--limit", "0"), "Error: Invalid value for '--limit': 0 is not in the range x>=1.\n"),
        ],
    )
    def test_wrong_usage(self, bigmodel, arguments, message):
        result = bigmodel(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert message in result.stderr

    def test_the_first_example_of_the_help_works(self, bigmodel):
        assert "bigmodel init digits_cnn -o my.yaml" in bigmodel("--help").stdout
        assert bigmodel("init", "digits_cnn", "-o", "my.yaml").exit_code == 0
        assert bigmodel("validate", "my.yaml").exit_code == 0


class TestValidate:
    def test_right(self, bigmodel, write):
        write("c.yaml", RIGHT)
        result = bigmodel("validate", "c.yaml")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "c.yaml: no mistakes\n", "")

    def test_wrong(self, bigmodel, write):
        write("c.yaml", WRONG)
        result = bigmodel("validate", "c.yaml")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.splitlines() == [
            "c.yaml:1:10: dataset.name: there is no dataset `digts`; did you mean `digits`? "
            "(`bigmodel list datasets`)",
            "c.yaml:2:20: model.hiden: unknown key; did you mean `hidden`?",
            "2 mistakes in c.yaml",
        ]

    def test_one_mistake(self, bigmodel, write):
        write("c.yaml", "dataset: digits\n")
        assert bigmodel("validate", "c.yaml").stderr.endswith("\n1 mistake in c.yaml\n")

    def test_several(self, bigmodel, write):
        write("right.yaml", RIGHT)
        write("wrong.yaml", WRONG)
        result = bigmodel("validate", "right.yaml", "wrong.yaml", "absent.yaml")
        assert result.exit_code == 2
        assert result.stdout == "right.yaml: no mistakes\n"
        assert "2 mistakes in wrong.yaml\nabsent.yaml: there is no such file" in result.stderr

    def test_json(self, bigmodel, write):
        write("right.yaml", RIGHT)
        write("wrong.yaml", WRONG)
        result = bigmodel("validate", "--json", "right.yaml", "wrong.yaml")
        assert (result.exit_code, result.stderr) == (2, "")
        right, wrong = json.loads(result.stdout)
        assert right == {"config": "right.yaml", "mistakes": []}
        assert wrong["mistakes"][1] == {
            "file": "wrong.yaml", "line": 2, "column": 20, "path": "model.hiden",
            "message": "unknown key; did you mean `hidden`?",
        }  # fmt: skip

    def test_a_file_name_that_is_no_text(self, bigmodel_process):
        result = bigmodel_process("validate", os.fsdecode(b"\xff.yaml"))
        assert result.exit_code == 2
        assert "there is no such file" in result.stderr
        assert "Traceback" not in result.stderr


class TestExplain:
    def test_values_with_their_origin(self, bigmodel, write):
        write("base.yaml", "training: {epochs: 3}\n")
        write("c.yaml", "extends: base.yaml\ndataset: digits\nmodel: mlp\noptimizer: sgd\n")
        result = bigmodel("explain", "c.yaml", "training.batch_size=8", "model.hidden=[3,4]")
        assert (result.exit_code, result.stderr) == (0, "")
        rows = {line.split("  ")[0]: line.split()[1:] for line in result.stdout.splitlines()}
        assert rows["training.epochs"] == ["3", "base.yaml:1"]
        assert rows["training.batch_size"] == ["8", "command", "line"]
        assert rows["model.hidden"] == ["[3,", "4]", "command", "line"]
        assert rows["optimizer.name"] == ["sgd", "c.yaml:4"]
        assert rows["optimizer.learning_rate"] == ["0.01", "default"]

    def test_json(self, bigmodel, write):
        write("c.yaml", RIGHT)
        rows = json.loads(bigmodel("explain", "c.yaml", "--json").stdout)
        assert {"key": "model.name", "value": "mlp", "origin": "c.yaml:2"} in rows
        assert {"key": "seed", "value": 0, "origin": "default"} in rows

    def test_all_wrong_overrides_at_once(self, bigmodel, write):
        write("c.yaml", RIGHT)
        result = bigmodel("explain", "c.yaml", "--json", "sed=1", "training.epochs=x", "model.hidden=3")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.splitlines() == [
            "command line: model.hidden: must be a list `[...]`, got 3",
            "command line: sed: unknown key; did you mean `seed`?",
            "command line: training.epochs: must be a whole number, got `x`",
            "3 mistakes in c.yaml",
        ]

    def test_a_long_value_stays_on_its_line(self, bigmodel, write):
        write("c.yaml", RIGHT)
        hidden = ", ".join(["12345"] * 60)
        assert f" [{hidden}] " in bigmodel("explain", "c.yaml", f"model.hidden=[{hidden}]").stdout

    def test_markup_is_text(self, bigmodel, write):
        write("c.yaml", RIGHT)
        result = bigmodel("explain", "c.yaml", "dataset.splits.train=all[:50%]+all[80%:]")
        assert " all[:50%]+all[80%:] " in result.stdout


class TestInit:
    def test_lists_the_templates(self, bigmodel):
        result = bigmodel("init")
        assert result.exit_code == 0
        for path in CONFIGS.glob("*.yaml"):
            assert f"bigmodel init {path.stem} " in result.stdout

    @pytest.mark.parametrize("template", sorted(path.stem for path in CONFIGS.glob("*.yaml")))
    def test_every_template_is_a_whole_config(self, bigmodel, template):
        result = bigmodel("init", template)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.endswith(f"next   bigmodel train {template}.yaml\n")
        path = Path(f"{template}.yaml")
        first, *others = path.read_text("utf-8").splitlines()
        assert first == "# yaml-language-server: $schema=bigmodel.schema.json"
        assert f"#   bigmodel train {template}.yaml" in others
        assert json.loads(Path("bigmodel.schema.json").read_text("utf-8"))["title"] == "bigmodel config"
        shipped = validation.load(CONFIGS / f"{template}.yaml").config
        assert validation.load(path).config == shipped

    def test_to_another_place(self, bigmodel, tmp_path):
        (tmp_path / "inner").mkdir()
        result = bigmodel("init", "cifar10_resnet_cpu", "-o", "inner/mine.yaml")
        assert result.exit_code == 0
        assert sorted(path.name for path in (tmp_path / "inner").iterdir()) == [
            "bigmodel.schema.json", "cifar10_resnet.yaml", "mine.yaml",
        ]  # fmt: skip
        assert bigmodel("validate", "inner/mine.yaml").exit_code == 0

    def test_to_standard_output(self, bigmodel, tmp_path):
        result = bigmodel("init", "digits_cnn", "-o", "-")
        assert result.exit_code == 0
        assert "yaml-language-server" not in result.stdout
        assert list(tmp_path.iterdir()) == []
        Path("c.yaml").write_text(result.stdout, "utf-8")
        assert bigmodel("validate", "c.yaml").exit_code == 0

    def test_overwrites_nothing(self, bigmodel, write):
        path = write("digits_cnn.yaml", "mine\n")
        result = bigmodel("init", "digits_cnn")
        assert (result.exit_code, result.stdout) == (2, "")
        text = "digits_cnn.yaml: is there already; choose another name or folder with --output\n"
        assert result.stderr == text
        assert path.read_text() == "mine\n"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                ("digits",),
                "there is no template `digits`; did you mean `digits_vae` or `digits_cnn`? "
                "(`bigmodel init` lists them)\n",
            ),
            (("digits_cnn", "-o", "no/x.yaml"), "--output no/x.yaml: there is no folder no\n"),
        ],
    )
    def test_wrong(self, bigmodel, arguments, message):
        result = bigmodel("init", *arguments)
        assert (result.exit_code, result.stdout, result.stderr) == (2, "", message)


class TestList:
    @pytest.mark.parametrize("kind", KINDS)
    def test_every_kind(self, bigmodel, kind):
        result = bigmodel("list", kind)
        assert (result.exit_code, result.stderr) == (0, "")
        documents = json.loads(bigmodel("list", kind, "--json").stdout)
        lines = result.stdout.splitlines()
        for number, document in enumerate(documents, start=1):
            assert lines[number].split()[0] == document["name"]
            assert lines[number].endswith(document["summary"])
            assert document["parameters"]["type"] == "object"
            one = bigmodel("list", kind, document["name"])
            assert (one.exit_code, one.stderr) == (0, "")

    def test_one(self, bigmodel):
        result = bigmodel("list", "models", "mlp")
        assert "hidden" in result.stdout
        assert "list of int >= 1 and <= 1,000,000" in result.stdout

    def test_a_name_of_tensorflow_datasets(self, bigmodel):
        assert "data_dir" in bigmodel("list", "datasets", "mnist").stdout

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("models", "mpl"), "there is no model `mpl`; did you mean `mlp`? (`bigmodel list models`)\n"),
            (("datasets", "mnis"), "there is no dataset `mnis`; did you mean `mnist` or `kmnist`? "
             "(`bigmodel list datasets`)\n"),
        ],
    )  # fmt: skip
    def test_unknown(self, bigmodel, arguments, message):
        result = bigmodel("list", *arguments)
        assert (result.exit_code, result.stdout, result.stderr) == (2, "", message)


def test_schema(bigmodel):
    result = bigmodel("schema")
    assert result.exit_code == 0
    assert result.stdout == (CONFIGS.parent / "docs" / "config.schema.json").read_text("utf-8")


class TestRuns:
    def make(self, name, summary=None):
        folder = Path("runs") / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(RIGHT)
        (folder / "environment.json").write_text("{}")
        if summary is not None:
            (folder / "summary.json").write_text(summary)
        return folder

    def test_none(self, bigmodel):
        result = bigmodel("runs")
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout == "there is no run under runs/ yet; `bigmodel train CONFIG` makes one\n"
        assert json.loads(bigmodel("runs", "--json").stdout) == []

    def test_newest_first_and_a_broken_one_hides_no_other(self, bigmodel):
        summary = {
            "status": "finished", "epochs": 3, "planned_epochs": 3, "best_epoch": 2, "seconds": 75.0,
            "dataset": "digits", "model": "mlp", "metrics": {"val_accuracy": 0.97, "loss": None},
        }  # fmt: skip
        self.make("a/20260101-000000", json.dumps(summary))
        self.make("b/20260301-000000", "{")
        self.make("a/20260201-000000")
        self.make("c/20260401-000000", "{}")
        result = bigmodel("runs")
        assert (result.exit_code, result.stderr) == (0, "")
        _, *rows = [line.split() for line in result.stdout.splitlines()]
        assert [row[:2] for row in rows] == [
            ["runs/c/20260401-000000", "unknown"],
            ["runs/b/20260301-000000", "damaged"],
            ["runs/a/20260201-000000", "running"],
            ["runs/a/20260101-000000", "finished"],
        ]
        assert rows[-1][2:] == ["digits", "mlp", "3/3", "2", "accuracy", "0.9700", "1", "min", "15", "s"]

    def test_json_and_limit(self, bigmodel):
        self.make("a/20260101-000000")
        self.make("a/20260201-000000", '{"status": "finished", "loss": NaN}')
        (newest,) = json.loads(bigmodel("runs", "--json", "--limit", "1").stdout)
        assert newest == {
            "run": "runs/a/20260201-000000", "status": "finished", "loss": None, "time": "20260201-000000",
            "name": "a", "tags": [], "archived": False, "test": {},
            "config": {"dataset": "digits", "model": "mlp"},
        }  # fmt: skip

    def test_a_folder_that_is_not_there(self, bigmodel):
        result = bigmodel("runs", "nowhere")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == "nowhere: there is no such folder\n"


@pytest.mark.parametrize("arguments", [("schema",), ("list", "losses"), ("validate", "c.yaml")])
def test_nobody_reads_on(arguments, write, tmp_path):
    write("c.yaml", RIGHT)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "bigmodel_cli", *arguments],
        cwd=tmp_path,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
