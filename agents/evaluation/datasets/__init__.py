"""Datasets: their cases on the way into Kafka, and back out of ClickHouse."""
