def write(*a): pass
def write_comparison(*a): pass
