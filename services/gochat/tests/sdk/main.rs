//! The SDK against a real server, through what lies between an app and a server: TLS with an
//! authority of its own, proxies, path prefixes, networks that break, and stores that fail.
#![forbid(unsafe_code)]

mod connecting;
mod environment;
mod kit;
mod offline;
mod tokens;
mod tokens_lost;
