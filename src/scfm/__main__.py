from scfm.cli import program

program()
