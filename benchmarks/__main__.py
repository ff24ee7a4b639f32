"""The suite, one command: `python -m benchmarks`; see README.md here."""

from benchmarks.suite.run import main

if __name__ == "__main__":
    main()
