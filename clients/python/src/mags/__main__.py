from mags.cli import main

main()
