//! The machines against a model server in virtual time.

mod changes;
mod outbox;
mod server;
mod session;
mod timeline;
mod two_parties;
mod world;
