#!/bin/bash
# Run once by ClickHouse's image when its data folder is empty: a user for Grafana that may only read.
set -euo pipefail
clickhouse-client --user "$CLICKHOUSE_USER" --password "$CLICKHOUSE_PASSWORD" \
    --param_password "$GRAFANA_CLICKHOUSE_PASSWORD" --multiquery <<'SQL'
CREATE USER IF NOT EXISTS grafana IDENTIFIED BY {password:String}
    SETTINGS readonly = 2, max_execution_time = 30, max_memory_usage = 4000000000;
GRANT SELECT ON rheostat.* TO grafana;
GRANT SELECT ON system.parts TO grafana;
SQL
