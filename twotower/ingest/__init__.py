"""Read items, events, queries and judgements from files."""

from twotower.ingest.beir import read_qrels, read_queries
from twotower.ingest.catalogue import read_catalogue
from twotower.ingest.events import read_events

__all__ = ["read_catalogue", "read_events", "read_qrels", "read_queries"]
