//! The other gateways.

use gochat_infra::rpc::Channel;

/// Finds the way to other gateway instances. The cluster profile asks the registry.
pub trait Peers: Send + Sync + 'static {
    /// A connection to the `PusherService` of an instance; `None` when nobody knows it (any more).
    fn channel(&self, gateway_id: &str) -> Option<Channel>;

    /// Whether this is the only gateway there can be: then nobody is looked up elsewhere.
    fn is_alone(&self) -> bool {
        false
    }
}

/// One gateway on its own, as in the embedded profile.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPeers;

impl Peers for NoPeers {
    fn channel(&self, _gateway_id: &str) -> Option<Channel> {
        None
    }

    fn is_alone(&self) -> bool {
        true
    }
}
