"""What people see of the numbers: tables in the terminal, pages, drawings."""
