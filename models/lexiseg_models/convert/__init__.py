"""Published weights: reading their files, and fitting their tensors to our modules."""
