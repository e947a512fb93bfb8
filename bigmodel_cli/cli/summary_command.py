"""`bigmodel summary`."""

from __future__ import annotations

from pathlib import Path

import click

from bigmodel_cli.cli import options


@click.command("summary")
@options.config
@options.overrides
@options.as_json
def command(config: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Show the model that a config builds: layers, shapes, parameters, FLOPs."""
    from bigmodel_cli import engine, formatting, validation
    from bigmodel_cli.cli import console

    loaded = validation.load(config, overrides)
    engine.start()
    from bigmodel_cli.summary.layers import summarize

    found = summarize(loaded.config)
    if as_json:
        console.print_json(found.to_json())
        return
    rows = [
        (
            layer.name,
            layer.kind,
            # The first axis is the batch.
            "x".join(map(str, layer.output_shape[1:])),
            f"{layer.parameters:,}" if layer.parameters else "",
            formatting.si(layer.flops, "FLOP") if layer.flops else "",
        )
        for layer in found.layers
    ]
    console.table(("layer", "kind", "output", "parameters", "forward pass"), rows, right=(3, 4))
    click.echo(
        f"\n{found.model}: {found.parameters:,} parameters ({found.trainable:,} trained), "
        f"{formatting.si(4 * found.parameters, 'B')} as float32, {formatting.si(found.flops, 'FLOP')} for "
        "one example's forward pass (a multiply-add counts as 2)"
    )
