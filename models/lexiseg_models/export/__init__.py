"""From a module to a bundle file: script, verify, write. Only this folder names TorchScript."""
