"""What `python -m benchmarks recommend` compares: each recommender is fitted on a Past and asked with a later one."""
