"""In place of the build system of pytorch-fast-transformers: see sdist_metadata.py."""
