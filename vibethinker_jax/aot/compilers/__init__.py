"""Compilers and the devices that they are told of."""
