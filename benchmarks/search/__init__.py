"""Quality of every stage on a BEIR folder."""
