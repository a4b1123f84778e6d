"""The corpus of items and events, in memory or in a store folder."""
