"""`python -m bigmodel_cli`."""

from bigmodel_cli.cli import main

main()
