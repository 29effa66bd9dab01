"""Tools that repair pictures, the loop in which the judge guides them, and a check independent of the judge."""
