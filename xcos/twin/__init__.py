"""Plans and the xCos head as PyTorch modules, with gradients: what training and explainers by gradient share."""
