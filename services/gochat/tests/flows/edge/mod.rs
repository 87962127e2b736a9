//! What every endpoint and every socket has in common.

mod aliases;
mod envelope;
mod limits;
mod openapi;
mod slow;
mod socket;
