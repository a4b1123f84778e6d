"""From public originals to our layout: one module a data set, one that reads and one that writes."""
