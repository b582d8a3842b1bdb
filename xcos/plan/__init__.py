"""Networks as plans of layers: the model file, running it, cutting it and building on it. Needs no PyTorch."""
