"""Read items, events, queries and judgements from files, mappings and DataFrames."""

from twotower.ingest.beir import read_qrels, read_queries
from twotower.ingest.catalogue import Catalogue, read_catalogue
from twotower.ingest.events import EventLog, read_events
from twotower.ingest.options import ReadOptions
from twotower.ingest.records import events_from, items_from

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
