"""`python -m wasmrt`: the command line, where no `wasmrt` script is on the path."""

from wasmrt.cli.main import main

if __name__ == "__main__":
    main(prog_name="wasmrt")
