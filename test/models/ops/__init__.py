"""The native operators against slow references."""
