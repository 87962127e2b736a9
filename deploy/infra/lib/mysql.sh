# shellcheck shell=bash
# MariaDB in MySQL's place. Every commit is on disk before it is answered.

# Run at every start, so it must change nothing that is already so.
mysql_init() {
    cat <<SQL
CREATE DATABASE IF NOT EXISTS \`$DB_NAME\` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
CREATE USER IF NOT EXISTS '$DB_USER'@'127.0.0.1' IDENTIFIED BY '$DB_PASSWORD';
GRANT ALL ON \`gochat\\_%\`.* TO '$DB_USER'@'127.0.0.1';
SQL
}

mariadbd_path() { command -v mariadbd || echo /usr/sbin/mariadbd; }

# A server that starts deletes the temporary tables it finds. In a folder that servers share they are those of running
# servers, which may crash then: each has its own.
prepare_mysql() {
    mkdir -p "$DATA/mysql.tmp"
    mysql_init >"$RUN/mysql.sql"
    [ ! -d "$DATA/mysql" ] || return 0
    rm -rf "$DATA/mysql.new"
    TMPDIR=$DATA/mysql.tmp mariadb-install-db --no-defaults --user="$(id -un)" --datadir="$DATA/mysql.new" --skip-test-db \
        --auth-root-authentication-method=socket --auth-root-socket-user="$(id -un)" >>"$LOG/mysql.log" 2>&1 &&
        mv "$DATA/mysql.new" "$DATA/mysql"
}

start_mysql() {
    spawn mysql "$(mariadbd_path)" --no-defaults --user="$(id -un)" --datadir="$DATA/mysql" --tmpdir="$DATA/mysql.tmp" \
        --bind-address=127.0.0.1 --port="$MYSQL_PORT" --socket="$RUN/mysql.sock" --pid-file="$RUN/mysql.server.pid" \
        --init-file="$RUN/mysql.sql" --skip-name-resolve --max-connections=500 --max-allowed-packet=64M \
        --character-set-server=utf8mb4 --collation-server=utf8mb4_unicode_ci --default-time-zone=+00:00 \
        --innodb-flush-log-at-trx-commit=1 --innodb-buffer-pool-size="$MYSQL_BUFFER_POOL" \
        --innodb-log-file-size=256M --sql-mode=STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION
}

# As the services come in: by TCP, with the services' user.
probe_mysql() {
    MYSQL_PWD=$DB_PASSWORD timeout 3 mariadb --no-defaults --protocol=tcp -h 127.0.0.1 -P "$MYSQL_PORT" -u "$DB_USER" \
        -N -e 'SELECT 1' "$DB_NAME" >/dev/null 2>"$RUN/mysql.probe"
}
stop_mysql() { end_process mysql TERM; }
port_mysql() { echo "$MYSQL_PORT"; }
