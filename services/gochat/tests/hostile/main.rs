//! Clients that mean harm, or are broken. Whatever they do ends in a defined error or a closed
//! connection; memory stays bounded, nothing panics, and everybody else is served meanwhile.
#![forbid(unsafe_code)]

mod admission;
mod autobahn;
mod connections;
mod early;
mod frames;
mod fuzz;
mod proxies;
mod raw;
mod requests;
mod slow;
mod unread;
