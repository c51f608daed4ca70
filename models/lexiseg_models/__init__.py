"""Networks of lexiseg: defined once in PyTorch, converted from published weights, exported as bundles."""

__version__ = "0.1.0"
