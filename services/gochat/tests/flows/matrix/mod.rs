//! Who may do what: every endpoint, every frame and every RPC of im-logic against every kind of caller.
//!
//! The expectations are data, in [`table`], [`frames`] and [`rpc_table`]; rows have as many cells as there are
//! columns, and tests compare the rows with the contract's index and with the descriptors, so that nothing is left out.

mod admin_rpcs;
mod auth_rpcs;
mod cast;
mod frames;
mod http;
mod rpc_requests;
mod rpc_table;
mod rpcs;
mod table;

pub use table::ENDPOINTS;
