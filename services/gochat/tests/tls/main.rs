//! TLS on the edge, over real sockets: the embedded server with a certificate, and clients that
//! speak TLS well, slowly, in crumbs, or not at all.
#![forbid(unsafe_code)]

mod client;
mod kit;
mod rude;
mod wss;

mod renewal;
