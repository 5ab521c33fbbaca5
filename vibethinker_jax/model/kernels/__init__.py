"""Attention kernels for TPU and GPU, of packed rows and of pages."""
