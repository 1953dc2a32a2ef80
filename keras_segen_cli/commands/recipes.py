"""`keras-segen recipes`: the named recipes, each with its score and its time."""

from keras_segen_cli.recipes import NAMED, YOURS


def recipes() -> None:
    """List the named recipes, which `keras-segen train NAME` runs."""
    import sys

    from rich.console import Console
    from rich.table import Column, Table

    columns = (Column("recipe", no_wrap=True), "data", "score", "time")
    table = Table(*columns, box=None, pad_edge=False)
    for name, named in NAMED.items():
        table.add_row(
            name + (" --data FOLDER" if named.recipe.data == YOURS else ""), named.on, named.score, named.time
        )
    Console(width=None if sys.stdout.isatty() else 200).print(table)
