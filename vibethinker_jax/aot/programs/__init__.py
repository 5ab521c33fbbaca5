"""What is compiled: the programs of each stage with abstract arguments."""
