from scfm.cli import main

main()
