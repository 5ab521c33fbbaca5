"""The decoder: parameters as a plain dict, one forward pass for training, scoring and sampling."""
