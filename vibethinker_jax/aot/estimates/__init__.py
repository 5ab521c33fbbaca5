"""What is said of it: memory, seconds, hours, cost, and tables of them."""
