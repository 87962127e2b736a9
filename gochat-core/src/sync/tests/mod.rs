//! The machines against a model server in virtual time.

mod outbox;
mod session;
mod timeline;
mod two_parties;
mod world;
