//! Paths of the methods that messages and rows pass through: callers and callees in the same
//! process name them alike ([`Local`](super::Local)).

/// Stores messages.
pub const SAVE_MESSAGES: &str = "/im.repo.v1.MessageService/BatchSaveMessages";
/// Lists sessions that were registered lately.
pub const LIST_ARRIVALS: &str = "/im.repo.v1.OnlineStatusService/ListArrivals";
/// Says which gateways hold the recipients of messages.
pub const USERS_ONLINE: &str = "/im.repo.v1.OnlineStatusService/GetUsersOnlineStatus";
