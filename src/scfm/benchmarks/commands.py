"""`scfm benchmarks`: prepare datasets, embed them, score the embeddings.

The commands stand in three files, so that an edit of one task reruns neither the others nor any embedding.
"""

import typer

from scfm.benchmarks import effect_commands, embedding_commands, task_commands

app = typer.Typer(no_args_is_help=True)
app.add_typer(embedding_commands.app)
app.add_typer(task_commands.app)
app.add_typer(effect_commands.app)
