"""Items by id and by vector, in memory or in a store folder."""
