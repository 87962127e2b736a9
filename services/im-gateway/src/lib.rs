//! The edge of GoChat: HTTP and WebSocket on one listener, and `PusherService` for the other
//! services.
//!
//! ```no_run
//! # async fn demo(ports: im_gateway::Ports) -> Result<(), im_gateway::BindError> {
//! use tokio_util::sync::CancellationToken;
//!
//! let config = im_gateway::Config::default();
//! let gateway = im_gateway::Gateway::bind(config, ports).await?;
//! println!("listening on {}", gateway.local_addr());
//! gateway.run(CancellationToken::new()).await;
//! # Ok(())
//! # }
//! ```
//!
//! How a message travels: `upstream` writes what clients send to the log; `downstream` reads this
//! gateway's own topic and writes frames to sockets; `groups` does so for the members of a group,
//! `broadcast` for everybody at once.
//! What is deliberately absent: no rule about messages, members or pointers, no database, and no
//! RPC per message.
#![forbid(unsafe_code)]

mod backend;
mod broadcast;
mod clock;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod config;
mod downstream;
mod frames;
mod gateway;
mod groups;
mod health;
mod http;
mod limits;
mod metrics;
mod peers;
mod presence;
mod pusher;
mod reactions;
mod recents;
mod revocations;
mod server;
mod state;
mod tls;
mod tokens;
mod told;
mod turns;
mod typing;
mod upstream;
mod waiters;
mod ws;

pub use config::Config;
pub use gateway::{BindError, Gateway, Ports};
pub use peers::{NoPeers, Peers};
