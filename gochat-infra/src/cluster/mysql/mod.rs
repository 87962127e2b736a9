//! The database on MySQL 8 or MariaDB.
