//! What handlers ask for: the caller, the trace, bodies, queries, ids in paths.

use std::net::IpAddr;
use std::str::FromStr;

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use bytes::Bytes;
use gochat_core::error::{Error, ErrorCode};
use gochat_core::ids::{ConversationId, MessageId, RequestId, UserId};
use gochat_core::token::SessionId;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use super::input;
use super::reply::{ApiError, too_large};
use crate::limits::network_of;
use crate::server::admission;
use crate::state::Gw;
use crate::tokens::Identity;

/// Who a request comes from, as the admission point found out.
#[derive(Clone)]
pub(crate) struct Caller {
    /// The client's address.
    pub(crate) address: IpAddr,
    /// What the request's token says; `None` when the admission point did not look.
    pub(crate) identity: admission::Caller,
}

/// The trace id of the request.
#[derive(Debug, Clone)]
pub(crate) struct Trace(pub(crate) String);

impl FromRequestParts<Gw> for Trace {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Gw) -> Result<Self, ApiError> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| ErrorCode::Internal.into())
    }
}

/// The network a request comes from, as limits count it; empty when the connection is unknown.
pub(crate) struct Network(pub(crate) String);

impl FromRequestParts<Gw> for Network {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Gw) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Caller>();
        let network = caller.map(|caller| network_of(caller.address).to_string());
        Ok(Self(network.unwrap_or_default()))
    }
}

/// The token of a request.
///
/// # Errors
/// `INVALID_TOKEN_FORMAT` for an `Authorization` header of another form.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let token = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        let token = token.trim();
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
    });
    token
        .map(Some)
        .ok_or_else(|| ErrorCode::InvalidTokenFormat.into())
}

/// The holder of a token that is good at this moment.
///
/// # Errors
/// `TOKEN_EXPIRED`, `INVALID_TOKEN`, or what its revocation says.
pub(crate) async fn authenticate(gw: &Gw, token: &str) -> Result<Identity, Error> {
    let identity = gw.identify(token).await?;
    gw.revocations.check(&identity)?;
    Ok(identity)
}

/// Somebody who is signed in, guests too.
pub(crate) struct Auth(pub(crate) Identity);

impl FromRequestParts<Gw> for Auth {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, gw: &Gw) -> Result<Self, ApiError> {
        if let Some(caller) = parts.extensions.get::<Caller>()
            && let Some(identity) = &caller.identity
        {
            return Ok(Self(identity.clone()?));
        }
        let token = bearer(&parts.headers)?.ok_or(ErrorCode::Unauthorized)?;
        authenticate(gw, token).await.map(Self).map_err(Into::into)
    }
}

/// Somebody with an account of their own: guests are refused.
pub(crate) struct Registered(pub(crate) Identity);

impl FromRequestParts<Gw> for Registered {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, gw: &Gw) -> Result<Self, ApiError> {
        let Auth(identity) = Auth::from_request_parts(parts, gw).await?;
        if identity.guest {
            Err(ErrorCode::GuestNotAllowed.into())
        } else {
            Ok(Self(identity))
        }
    }
}

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Gw> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, gw: &Gw) -> Result<Self, ApiError> {
        input::body(&read(request, gw).await?).map(Self)
    }
}

/// A JSON body that may be missing.
pub(crate) struct OptionalBody<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequest<Gw> for OptionalBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, gw: &Gw) -> Result<Self, ApiError> {
        input::optional_body(&read(request, gw).await?).map(Self)
    }
}

async fn read(request: Request, gw: &Gw) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, gw)
        .await
        .map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(e)
                if e.status() == StatusCode::PAYLOAD_TOO_LARGE =>
            {
                too_large()
            }
            _ => ApiError::invalid("The request body could not be read."),
        })
}

/// Query parameters.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Gw> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Gw) -> Result<Self, ApiError> {
        input::query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// An id in a path: text that is no such id names nothing, so it is "not found".
pub(crate) trait PathId: FromStr {
    /// What to answer for text that is no id.
    const UNKNOWN: ErrorCode;
}

impl PathId for ConversationId {
    const UNKNOWN: ErrorCode = ErrorCode::ConversationNotFound;
}

impl PathId for MessageId {
    // The contract lists 400 for this path.
    const UNKNOWN: ErrorCode = ErrorCode::InvalidParams;
}

impl PathId for UserId {
    const UNKNOWN: ErrorCode = ErrorCode::UserNotFound;
}

impl PathId for SessionId {
    const UNKNOWN: ErrorCode = ErrorCode::NotFound;
}

impl PathId for RequestId {
    const UNKNOWN: ErrorCode = ErrorCode::FriendRequestNotFound;
}

/// The one id of a path.
pub(crate) struct Id<A>(pub(crate) A);

impl<A: PathId> FromRequestParts<Gw> for Id<A> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, gw: &Gw) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, gw)
            .await
            .map_err(|_| A::UNKNOWN)?;
        text.parse().map(Self).map_err(|_| A::UNKNOWN.into())
    }
}

/// The two ids of a path.
pub(crate) struct Ids<A, B>(pub(crate) A, pub(crate) B);

impl<A: PathId, B: PathId> FromRequestParts<Gw> for Ids<A, B> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, gw: &Gw) -> Result<Self, ApiError> {
        let Path((a, b)) = Path::<(String, String)>::from_request_parts(parts, gw)
            .await
            .map_err(|_| A::UNKNOWN)?;
        Ok(Self(
            a.parse().map_err(|_| A::UNKNOWN)?,
            b.parse().map_err(|_| B::UNKNOWN)?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        headers
    }

    #[test]
    fn only_bearer_tokens_are_tokens() {
        assert_eq!(bearer(&headers("Bearer abc")), Ok(Some("abc")));
        assert_eq!(bearer(&headers("bearer  abc")), Ok(Some("abc")));
        assert_eq!(bearer(&HeaderMap::new()), Ok(None));
        for bad in ["Basic abc", "abc", "Bearer ", "Bearer"] {
            assert_eq!(
                bearer(&headers(bad)).unwrap_err().code,
                ErrorCode::InvalidTokenFormat
            );
        }
    }
}
