//! Every RPC over an in-process channel, on SQLite in a temporary folder.

mod conversations;
mod facts;
mod friends;
mod groups;
mod harness;
mod members;
mod messages;
mod online;
mod races;
mod read;
mod sequence;
mod tokens;
mod users;
