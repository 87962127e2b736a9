//! MySQL or MariaDB as the database: the contract suite on the real server, and what only this
//! adapter has to prove. Each test has a database of its own.
#![cfg(feature = "mysql")]

mod kit;
mod locks;
mod outage;
mod plans;
mod reactions;
mod replicas;
mod schema;
mod server;

mod contract {
    gochat_infra::db_suite!(super::kit::fresh());
}
