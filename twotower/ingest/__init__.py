"""Read items, events, queries and judgements from files, and check items and events."""

from twotower.ingest.beir import read_qrels, read_queries
from twotower.ingest.catalogue import read_catalogue
from twotower.ingest.events import read_events
from twotower.ingest.validate import check_event, check_item

__all__ = ["check_event", "check_item", "read_catalogue", "read_events", "read_qrels", "read_queries"]
