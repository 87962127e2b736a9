//! The one place every request passes before anything is done for it, the cheapest question first:
//! may the address ask, who asks, may the account ask, is there room for callers of this rank. Only
//! then a request is routed or becomes a WebSocket.

use std::net::IpAddr;

use gochat_core::error::{Error, ErrorCode};
use http::{HeaderMap, Uri};

use super::gate::Visitor;
use crate::http::extract::{self, bearer};
use crate::http::reply::ApiError;
use crate::limits::{Door, Refused};
use crate::metrics as names;
use crate::state::Gw;
use crate::tokens::Identity;
use crate::ws::handshake;

/// What a request's token says; `None` when there is no token, or the entry doesn't ask for one.
pub(crate) type Caller = Option<Result<Identity, Error>>;

/// What is entered, as far as limits are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// Probes: a bucket of their own, so that no flood makes an instance look dead.
    Health,
    /// A WebSocket.
    Socket,
    /// Signing in or registering.
    Door(Door),
    /// Everything else, whatever the method is and whether the path exists or not.
    Other,
}

impl Entry {
    /// The entry a path belongs to.
    pub(super) fn of(path: &str) -> Self {
        match path {
            "/health" => return Self::Health,
            "/ws" => return Self::Socket,
            _ => {}
        }
        let api = path.strip_prefix("/api/v1").or(path.strip_prefix("/api"));
        match api {
            Some("/auth/register" | "/auth/upgrade") => Self::Door(Door::Register),
            Some("/auth/logout") | None => Self::Other,
            Some(path) if path.starts_with("/auth/") => Self::Door(Door::Login),
            Some(_) => Self::Other,
        }
    }
}

/// Judges a request by its head; tells who asks.
///
/// # Errors
/// `RATE_LIMITED` with the time after which a try can succeed.
pub(super) async fn admit(
    gw: &Gw,
    visitor: &Visitor,
    address: IpAddr,
    uri: &Uri,
    headers: &HeaderMap,
    trace: &str,
) -> Result<Caller, ApiError> {
    let entry = Entry::of(uri.path());
    if entry == Entry::Health {
        limited("health", gw.limits.admit_probe(address))?;
        return Ok(None);
    }
    let token = token_of(entry, uri, headers);
    let may_guess = token.is_some() || matches!(entry, Entry::Door(_));
    limited("address", gw.limits.admit_address(address, may_guess))?;
    if let Entry::Door(door) = entry {
        let outcome = gw.limits.admit_door(&gw.backend, address, door, trace);
        limited("door", outcome.await)?;
        return Ok(None);
    }
    let caller = identify(gw, token).await;
    match &caller {
        Some(Ok(identity)) => {
            let user = identity.user;
            limited("account", gw.limits.admit_account(user))?;
            // Sockets have bounds of their own: registering them is merged and queued.
            if entry != Entry::Socket {
                limited("instance", gw.limits.admit_signed_in())?;
            }
            visitor.set_known(user)?;
        }
        Some(Err(error)) => {
            // A token that was never good is a guess. One that has expired is not.
            if error.code == ErrorCode::InvalidToken {
                gw.limits.charge_guess(address);
            }
            limited("strangers", gw.limits.admit_stranger())?;
        }
        None => limited("strangers", gw.limits.admit_stranger())?,
    }
    Ok(caller)
}

fn limited(who: &'static str, outcome: Result<(), Refused>) -> Result<(), ApiError> {
    outcome.map_err(|refused| {
        names::count(names::ADMISSION_REFUSED, "limit", who);
        ApiError::limited(refused)
    })
}

/// The token of a request.
fn token_of<'a>(
    entry: Entry,
    uri: &'a Uri,
    headers: &'a HeaderMap,
) -> Option<Result<&'a str, Error>> {
    match entry {
        Entry::Socket => handshake::token_of(uri, headers),
        _ => bearer(headers).transpose(),
    }
}

async fn identify(gw: &Gw, token: Option<Result<&str, Error>>) -> Caller {
    Some(match token? {
        Ok(token) => extract::authenticate(gw, token).await,
        Err(error) => Err(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_door_are_the_same_door() {
        for base in ["/api", "/api/v1"] {
            let of = |path: &str| Entry::of(&format!("{base}{path}"));
            assert_eq!(of("/auth/register"), Entry::Door(Door::Register));
            for path in [
                "/auth/login",
                "/auth/guest",
                "/auth/challenge",
                "/auth/refresh",
            ] {
                assert_eq!(of(path), Entry::Door(Door::Login), "{path}");
            }
            for path in ["/auth/logout", "/conversations", "/authors"] {
                assert_eq!(of(path), Entry::Other, "{path}");
            }
        }
        assert_eq!(Entry::of("/ws"), Entry::Socket);
        assert_eq!(Entry::of("/health"), Entry::Health);
        for path in ["/", "*", "/ws/", "/health/x", "/auth/login", "/api"] {
            assert_eq!(Entry::of(path), Entry::Other, "{path}");
        }
    }
}
