"""An independent eager float32 model of FC-CLIP, for tests and benches to compare against.

Written from the paper's specification in the published layout: module and parameter names are
the published checkpoint keys, every tensor is NCHW float32, and full-resolution tensors are
materialised. It imports nothing of the package under test.
"""
