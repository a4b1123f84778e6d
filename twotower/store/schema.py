"""The SQLite schema of a store, and its format number, which is raised with every change."""

FORMAT = 5
TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE items (label INTEGER PRIMARY KEY, item BLOB NOT NULL, photo BLOB) STRICT;
CREATE TABLE vectors (label INTEGER PRIMARY KEY, vector BLOB NOT NULL) STRICT;
CREATE TABLE fresh_vectors (label INTEGER PRIMARY KEY, vector BLOB NOT NULL, photo BLOB) STRICT;
CREATE TABLE ids (id TEXT PRIMARY KEY, label INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE tombstones (number INTEGER PRIMARY KEY AUTOINCREMENT, label INTEGER NOT NULL) STRICT;
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE,
    user TEXT NOT NULL, item TEXT NOT NULL, kind TEXT NOT NULL, time TEXT NOT NULL, value REAL NOT NULL,
    moment INTEGER NOT NULL
) STRICT;
CREATE INDEX events_of_users ON events (user, moment);
CREATE INDEX events_by_moment ON events (moment);
"""
