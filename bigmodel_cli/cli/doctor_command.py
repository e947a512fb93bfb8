"""`bigmodel doctor`."""

from __future__ import annotations

import click

from bigmodel_cli.cli import options


@click.command("doctor")
@options.as_json
def command(as_json: bool) -> None:
    """Show versions, devices, memory, data, and what `auto` chooses here."""
    from bigmodel_cli import engine
    from bigmodel_cli.cli import console

    engine.start()
    from bigmodel_cli.doctor import examine

    found = examine()
    if as_json:
        console.print_json(found)
        return
    packages = "  ".join(f"{name} {version}" for name, version in found["packages"].items())
    click.echo(f"bigmodel {found['bigmodel']}  Python {found['python']}  {found['platform']}")
    click.echo(f"  {packages}")
    bfloat16 = found["cpu"]["fast_bfloat16"] or "none"
    click.echo(f"\nCPU       {found['cpu']['cores']} cores, fast bfloat16: {bfloat16}")
    click.echo(f"GPU       {', '.join(found['gpus']) or 'none seen by TensorFlow'}")
    engines = found["engines"]
    missing = "not installed (pip install bigmodel-cli[jax]); needed for several processes and TPUs"
    click.echo(f"engines   tensorflow {engines['tensorflow']}, jax {engines['jax'] or missing}")
    click.echo(f"memory    {found['memory'] / 2**30:.1f} GiB available")
    data = found["data"]
    click.echo(
        f"data      {data['folder']} ({data['from']}): {', '.join(data['prepared']) or 'nothing prepared'}"
    )
    click.echo(f"runs      {found['runs']['folder']}: {found['runs']['count']}")
    click.echo("\nwhat `auto` chooses here")
    for name, choice in found["auto"].items():
        click.echo(f"  {name:<20} {choice}")
    if not found["catalogue_is_current"]:
        click.echo(
            "\nnote: this Keras is not the one that configs are checked against; reinstall bigmodel-cli"
        )
