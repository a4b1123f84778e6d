"""From files to items, events, queries and judgements; the only room that reads other people's files."""

from twotower.ingest.beir import read_qrels, read_queries
from twotower.ingest.catalog import read_catalog
from twotower.ingest.events import read_events
from twotower.ingest.validate import check_event, check_item

__all__ = ["check_event", "check_item", "read_catalog", "read_events", "read_qrels", "read_queries"]
