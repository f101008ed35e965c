"""The ClickHouse engine in this process (chDB), behind ClickHouse's HTTP protocol."""
