"""Files of rows: JSON lines, parquet, ArrayRecord, compressed or not."""
