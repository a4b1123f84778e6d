"""Read items, events, queries and judgements from files, mappings and DataFrames."""

from twotower.ingest.beir import read_qrels, read_queries
from twotower.ingest.catalogue import Catalogue, items_from, read_catalogue
from twotower.ingest.events import EventLog, events_from, read_events
from twotower.ingest.options import ReadOptions

__all__ = [
    "Catalogue",
    "EventLog",
    "ReadOptions",
    "events_from",
    "items_from",
    "read_catalogue",
    "read_events",
    "read_qrels",
    "read_queries",
]
