"""In place of the build system of llama-cpp-python: see sdist_metadata.py."""
