#!/bin/sh
# First start only: the services' user may create the databases that tests use.
set -eu
MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysql -u root <<SQL
GRANT ALL ON \`gochat\\_%\`.* TO '$MYSQL_USER'@'%';
SQL
