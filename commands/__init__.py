"""The command line: one module a group of commands, and nothing of Typer or Rich anywhere else."""
