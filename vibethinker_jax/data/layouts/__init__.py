"""Published data sets, recognised by their fields."""
