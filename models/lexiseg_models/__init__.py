"""Networks of lexiseg: defined in PyTorch, converted from published weights, exported as bundles."""

__version__ = "0.1.0"
